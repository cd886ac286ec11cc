using Colo.Blocks;
using Colo.Replication.Tests.Kit;
using Colo.Testing;

namespace Colo.Replication.Tests;

/// <summary>Outages, crashes and failovers of a pair that keeps its lineage: equal afterwards, and no more copied than has to be.</summary>
public sealed class LineageTests
{
    private const int Extent = ActivityLog.ExtentBytes;

    [Fact]
    public async Task After_an_outage_of_the_secondary_only_what_was_written_meanwhile_travels()
    {
        await using LineagePair pair = await LineagePair.RunningAsync();
        for (int i = 0; i < 16; i++)
        {
            await pair.A.Primary.WriteAsync(i * Extent, 4096, 0x11);
        }

        pair.LoseLink();
        await pair.AloneAsync(pair.A);
        const int written = 300;
        for (int i = 0; i < written; i++)
        {
            await pair.A.Primary.WriteAsync(i * 97 % 16384 * 4096L, 4096, 0x22);
        }

        pair.A.Primary.BytesOutOfSync.ShouldBe(written * 4096);
        long sent = await pair.SyncAsync(pair.A, pair.B);
        sent.ShouldBeInRange(written * 4096, (long)(written * 4096 * 1.1));
        pair.A.Primary.ResyncProgress!.Mode.ShouldBe(ResyncMode.Bitmap);
        pair.A.Primary.ResyncProgress.TotalBytes.ShouldBe(written * 4096);
        pair.A.Primary.BytesOutOfSync.ShouldBeNull();
        pair.ShouldBeEqual();
        pair.B.Lineage.Record.Current.ShouldBe(pair.A.Lineage.Record.Current);
    }

    [Fact]
    public async Task A_write_whose_forward_was_lost_is_in_the_map_before_it_is_acknowledged()
    {
        await using LineagePair pair = await LineagePair.RunningAsync();
        pair.Link.Fault = (op, offset) => op == "write" && offset == 8192 ? BlockStatus.IoError : BlockStatus.Ok;
        List<string> order = [];
        pair.A.Store.OnRecord = _ => order.Add($"map begun, record {pair.Arbiter.Record.SecondaryState}");
        (await pair.A.Primary.WriteAsync(8192, new byte[4096])).ShouldBe(BlockStatus.Ok);
        order.ShouldBe(["map begun, record Stale"]);
        pair.A.Primary.BytesOutOfSync.ShouldBe(4096);
        await pair.A.Primary.WriteAsync(16384, 4096, 0x33);
        (await pair.SyncAsync(pair.A, pair.B)).ShouldBe(2 * 4096);
        pair.ShouldBeEqual();
    }

    [Fact]
    public async Task A_mark_is_in_its_file_before_the_write_happens_and_a_write_that_cannot_be_marked_does_not()
    {
        await using LineagePair pair = await LineagePair.RunningAsync();
        pair.LoseLink();
        await pair.AloneAsync(pair.A);
        await pair.A.Primary.WriteAsync(0, 4096, 0x44);
        bool wasMarked = false;
        pair.A.Disk.Gate = (op, offset) =>
        {
            if (op == "write")
            {
                byte[] map = new byte[LineagePair.LengthBytes / 4096 / 8];
                pair.A.Store.ReadMapAsync(map).AsTask().IsCompletedSuccessfully.ShouldBeTrue();
                long grain = offset / 4096;
                wasMarked = (map[grain / 8] & (1 << (int)(grain % 8))) != 0;
            }

            return Task.CompletedTask;
        };
        await pair.A.Primary.WriteAsync(64 << 10, 4096, 0x44);
        wasMarked.ShouldBeTrue();
        pair.A.Store.Fails = true;
        await pair.A.Primary.WriteAsync(128 << 10, 4096, 0x44, BlockStatus.IoError);
        pair.A.Disk.Content.ShouldHold(128 << 10, 4096, 0);
        await pair.A.Primary.WriteAsync(64 << 10, 4096, 0x45);
    }

    [Fact]
    public async Task An_interrupted_resync_goes_on_where_it_was_and_the_copied_is_not_copied_again()
    {
        await using LineagePair pair = await LineagePair.RunningAsync();
        pair.LoseLink();
        await pair.AloneAsync(pair.A);
        await pair.A.Primary.WriteAsync(0, 48 << 20, 0x55);

        // The resync asks for a durable answer every 32 MiB; it breaks behind the first of these.
        await pair.AttachAsync(pair.A, pair.B, ResyncMode.Auto, link =>
            link.Fault = (op, offset) => op == "write" && offset >= 40 << 20 ? BlockStatus.IoError : BlockStatus.Ok);
        (await pair.A.Primary.ResyncCompletion).ShouldBeFalse();
        await pair.AloneAsync(pair.A);
        pair.Arbiter.Record.SecondaryState.ShouldBe(SecondaryState.Syncing);
        await pair.A.Primary.WriteAsync(4096, 4096, 0x56);
        long sent = await pair.SyncAsync(pair.A, pair.B);
        sent.ShouldBeInRange((8 << 20) + 4096, 17 << 20);
        pair.ShouldBeEqual();
    }

    [Fact]
    public async Task A_primary_that_is_killed_while_alone_still_knows_what_the_secondary_misses()
    {
        await using LineagePair pair = await LineagePair.RunningAsync();
        pair.LoseLink();
        await pair.AloneAsync(pair.A);
        for (int i = 0; i < 50; i++)
        {
            await pair.A.Primary.WriteAsync(i * 1_048_576L, 4096, 0x66);
        }

        await pair.KillAsync(pair.A);
        await pair.OpenPrimaryAsync(pair.A);
        (await pair.SyncAsync(pair.A, pair.B)).ShouldBe(50 * 4096);
        pair.ShouldBeEqual();
    }

    [Fact]
    public async Task A_power_cut_while_alone_costs_the_hot_extents_and_no_mark()
    {
        await using LineagePair pair = await LineagePair.RunningAsync();
        pair.LoseLink();
        await pair.AloneAsync(pair.A);
        await pair.A.Primary.WriteAsync(3 * Extent, 4096, 0x77);
        await pair.A.Primary.WriteAsync((9 * Extent) + 8192, 4096, 0x77);
        await pair.KillAsync(pair.A, withMachine: true);
        await pair.OpenPrimaryAsync(pair.A);
        (await pair.SyncAsync(pair.A, pair.B)).ShouldBe(2 * Extent);
        pair.ShouldBeEqual();
    }

    [Fact]
    public async Task A_primary_that_is_killed_while_resyncing_goes_on()
    {
        await using LineagePair pair = await LineagePair.RunningAsync();
        pair.LoseLink();
        await pair.AloneAsync(pair.A);
        await pair.A.Primary.WriteAsync(0, 8 << 20, 0x15);
        TaskCompletionSource never = new();
        await pair.AttachAsync(pair.A, pair.B, ResyncMode.Auto, link =>
            link.Gate = (op, offset) => op == "write" && offset >= 4 << 20 ? never.Task : Task.CompletedTask);

        // Into what is clean: forwarded, not marked; in flight when the process dies, written here and not there.
        pair.Link.Fault = (_, _) => BlockStatus.Ok;
        Task<BlockStatus> inFlight = pair.A.Primary.WriteAsync(40 << 20, Enumerable.Repeat((byte)0x16, 4096).ToArray()).AsTask();
        await Eventually.TrueAsync(() => pair.A.Disk.Content[40 << 20] == 0x16, "written locally");
        inFlight.IsCompleted.ShouldBeFalse();
        await pair.KillAsync(pair.A);
        pair.B.Disk.Content[40 << 20].ShouldBe((byte)0);
        await pair.OpenPrimaryAsync(pair.A);
        long sent = await pair.SyncAsync(pair.A, pair.B);
        pair.ShouldBeEqual();
        sent.ShouldBeLessThanOrEqualTo((8 << 20) + Extent);
    }

    [Fact]
    public async Task After_a_crash_of_the_primary_in_sync_only_the_hot_extents_are_compared_again()
    {
        await using LineagePair pair = await LineagePair.RunningAsync();
        await pair.A.Primary.WriteAsync(5 * Extent, 4096, 0x18);
        await pair.KillAsync(pair.A);
        pair.A.Disk.Content.Slice((5 * Extent) + 65536, 4096).Fill(0x19);
        await pair.OpenPrimaryAsync(pair.A);
        pair.A.Primary.ServeState.ShouldBe(ServeState.Waiting);
        (await pair.SyncAsync(pair.A, pair.B, ResyncMode.Rejoin)).ShouldBe(Extent);
        pair.A.Primary.AttachedMode.ShouldBe(ResyncMode.Recopy);
        pair.ShouldBeEqual();
        pair.Arbiter.History.ShouldNotContain(SecondaryState.Stale);
    }

    [Fact]
    public async Task After_an_orderly_restart_nothing_is_copied()
    {
        await using LineagePair pair = await LineagePair.RunningAsync();
        await pair.A.Primary.WriteAsync(0, 1 << 20, 0x1a);
        await pair.A.Primary.FlushAsync();
        await pair.CloseAsync(pair.A);
        await pair.OpenPrimaryAsync(pair.A);
        (await pair.SyncAsync(pair.A, pair.B, ResyncMode.Rejoin)).ShouldBe(0);
        pair.A.Primary.AttachedMode.ShouldBe(ResyncMode.None);
    }

    [Fact]
    public async Task A_secondary_whose_machine_lost_what_it_had_answered_gets_the_extents_of_the_activity_log()
    {
        await using LineagePair pair = await LineagePair.RunningAsync();
        await pair.A.Primary.WriteAsync(2 * Extent, 4096, 0x1b);
        pair.LoseLink();
        await pair.AloneAsync(pair.A);
        await pair.KillAsync(pair.B, withMachine: true);
        pair.B.Disk.Content.Slice(2 * Extent, 4096).Clear();
        await pair.OpenSecondaryAsync(pair.B);
        (await pair.SyncAsync(pair.A, pair.B)).ShouldBe(Extent);
        pair.ShouldBeEqual();
    }

    [Fact]
    public async Task After_a_failover_the_former_primary_rejoins_by_the_map_and_its_unacknowledged_writes_are_rolled_back()
    {
        await using LineagePair pair = await LineagePair.RunningAsync();
        await pair.A.Primary.WriteAsync(0, 16 << 20, 0x21);
        await pair.A.Primary.FlushAsync();
        await pair.A.Lineage.CloseCleanAsync();
        TaskCompletionSource never = new();
        pair.Link.Gate = (op, _) => op == "write" ? never.Task : Task.CompletedTask;
        Task<BlockStatus> unacknowledged = pair.A.Primary.WriteAsync(11 * Extent, Enumerable.Repeat((byte)0x66, 4096).ToArray()).AsTask();
        await Eventually.TrueAsync(() => pair.A.Disk.Content[11 * Extent] == 0x66, "written here only");
        await pair.KillAsync(pair.A);
        (await unacknowledged).ShouldNotBe(BlockStatus.Ok);

        await pair.PromoteAsync(pair.B);
        await pair.B.Primary.WriteAsync(1 << 20, 4096, 0x22);
        await pair.B.Primary.WriteAsync(30 << 20, 8192, 0x23);
        await pair.OpenSecondaryAsync(pair.A);
        long sent = await pair.SyncAsync(pair.B, pair.A);
        sent.ShouldBe(Extent + (3 * 4096));
        pair.A.Disk.Content.ShouldHold(11 * Extent, 4096, 0);
        pair.ShouldBeEqual();
    }

    [Fact]
    public async Task After_a_switchover_nothing_but_the_new_primarys_writes_travels_and_back_again()
    {
        await using LineagePair pair = await LineagePair.RunningAsync();
        (LineagePair.Node from, LineagePair.Node to) = (pair.A, pair.B);
        for (int round = 0; round < 4; round++)
        {
            await from.Primary.WriteAsync(round * Extent, 4096, (byte)(round + 1));
            await from.Primary.FlushAsync();
            await pair.CloseAsync(from);
            await pair.PromoteAsync(to);
            await to.Primary.WriteAsync((round * Extent) + 8192, 4096, (byte)(round + 9));
            from.Epochs = new(LineagePair.LengthBytes);
            await pair.OpenSecondaryAsync(from);
            (await pair.SyncAsync(to, from)).ShouldBe(4096);
            pair.ShouldBeEqual();
            (from, to) = (to, from);
        }
    }

    [Fact]
    public async Task A_failover_to_the_last_checkpoint_brings_the_former_primary_back_to_it()
    {
        await using LineagePair pair = await LineagePair.RunningAsync();
        await pair.A.Primary.WriteAsync(0, 1 << 20, 0x31);
        await pair.A.Primary.CheckpointAsync(new(1));
        await pair.A.Primary.WriteAsync(512 << 10, 4096, 0x32);
        await pair.A.Primary.FlushAsync();
        await pair.CloseAsync(pair.A);
        await pair.PromoteAsync(pair.B, RecoveryPoint.LastCheckpoint);
        await pair.B.Primary.ShouldHoldAsync(512 << 10, 4096, 0x31);
        await pair.OpenSecondaryAsync(pair.A);
        (await pair.SyncAsync(pair.B, pair.A)).ShouldBe(4096);
        pair.A.Disk.Content.ShouldHold(512 << 10, 4096, 0x31);
        pair.ShouldBeEqual();
    }

    [Fact]
    public async Task A_secondary_of_another_volume_or_an_unknown_past_is_refused_and_nothing_is_written()
    {
        await using LineagePair pair = await LineagePair.RunningAsync();
        pair.LoseLink();
        await pair.AloneAsync(pair.A);
        await pair.KillAsync(pair.B);
        pair.B.Store.Record = pair.B.Store.Record with { Current = GenerationId.New(), History = [], PeerNode = "" };
        await pair.OpenSecondaryAsync(pair.B);
        ReplicationException refused = await Should.ThrowAsync<ReplicationException>(() => pair.AttachAsync(pair.A, pair.B, ResyncMode.Auto));
        refused.Fault.ShouldBe(ReplicationFault.Unrelated);
        refused.Message.ShouldContain("nothing in common");
        pair.Link.SentBytes.ShouldBe(0);
        pair.Link.Log.ShouldNotContain("announce");
        pair.A.Primary.ServeState.ShouldBe(ServeState.Alone);
        await pair.SyncAsync(pair.A, pair.B, ResyncMode.Full);
        pair.ShouldBeEqual();
    }

    [Fact]
    public async Task A_state_that_was_put_back_from_an_old_copy_is_refused()
    {
        await using LineagePair pair = await LineagePair.RunningAsync();
        LineageRecord old = pair.B.Store.Record;
        for (int i = 0; i < 2; i++)
        {
            pair.LoseLink();
            await pair.AloneAsync(pair.A);
            await pair.SyncAsync(pair.A, pair.B);
        }

        pair.LoseLink();
        await pair.AloneAsync(pair.A);
        await pair.KillAsync(pair.B);
        pair.B.Store.Record = old;
        await pair.OpenSecondaryAsync(pair.B);
        ReplicationException refused = await Should.ThrowAsync<ReplicationException>(() => pair.AttachAsync(pair.A, pair.B, ResyncMode.Auto));
        refused.Fault.ShouldBe(ReplicationFault.Unrelated);
        refused.Message.ShouldContain("old copy was put back");
    }

    [Fact]
    public async Task A_secondary_that_was_put_back_to_before_it_was_attached_last_is_refused_though_its_generation_is_the_same()
    {
        await using LineagePair pair = await LineagePair.RunningAsync();
        MemoryLineageStore old = pair.B.Store.AfterPowerLoss();
        byte[] disk = [.. pair.B.Disk.Content];
        await pair.KillAsync(pair.A);
        await pair.OpenPrimaryAsync(pair.A);
        await pair.AttachAsync(pair.A, pair.B, ResyncMode.Rejoin);
        await pair.A.Primary.WriteAsync(8 << 20, 4096, 0x55);
        pair.LoseLink();
        await pair.AloneAsync(pair.A);
        await pair.KillAsync(pair.B);
        pair.B.Store = old;
        disk.CopyTo(pair.B.Disk.Content);
        await pair.OpenSecondaryAsync(pair.B);
        ReplicationException refused = await Should.ThrowAsync<ReplicationException>(() => pair.AttachAsync(pair.A, pair.B, ResyncMode.Auto));
        refused.Fault.ShouldBe(ReplicationFault.Unrelated);
        refused.Message.ShouldContain("old copy was put back");
        await pair.SyncAsync(pair.A, pair.B, ResyncMode.Full);
        pair.ShouldBeEqual();
    }

    [Theory]
    [InlineData(ResyncMode.Auto)]
    [InlineData(ResyncMode.Full)]
    public async Task A_primary_that_was_put_back_to_an_earlier_outage_is_refused_though_it_has_written_its_state_as_often(ResyncMode mode)
    {
        await using LineagePair pair = await LineagePair.RunningAsync();
        pair.LoseLink();
        await pair.AloneAsync(pair.A);
        await pair.A.Primary.WriteAsync(0, 4096, 0x51);
        MemoryLineageStore old = pair.A.Store.AfterPowerLoss();
        byte[] disk = [.. pair.A.Disk.Content];
        await pair.SyncAsync(pair.A, pair.B, mode);
        await pair.A.Primary.WriteAsync(8 << 20, 4096, 0x52);
        pair.LoseLink();
        await pair.AloneAsync(pair.A);
        await pair.KillAsync(pair.A);
        pair.A.Store = old;
        old.Record = old.Record with { Writes = old.Record.Writes + 100 };
        disk.CopyTo(pair.A.Disk.Content);
        await pair.OpenPrimaryAsync(pair.A);
        ReplicationException refused = await Should.ThrowAsync<ReplicationException>(() => pair.AttachAsync(pair.A, pair.B, ResyncMode.Auto));
        refused.Fault.ShouldBe(ReplicationFault.Unrelated);
        refused.Message.ShouldContain("is not known here");
        pair.B.Disk.Content.ShouldHold(8 << 20, 4096, 0x52);
    }

    [Fact]
    public async Task A_write_of_a_primary_that_announces_nothing_makes_the_secondary_forget_its_generation()
    {
        await using LineagePair pair = await LineagePair.RunningAsync();
        pair.LoseLink();
        await pair.AloneAsync(pair.A);
        await pair.KillAsync(pair.B);
        await pair.OpenSecondaryAsync(pair.B);
        ReplicationTarget foreign = pair.B.Secondary.OpenTarget(new(1));
        await foreign.WriteAsync(1 << 20, 4096, 0x99);
        pair.B.Store.Record.Current.IsNone.ShouldBeTrue();
        await foreign.DisposeAsync();
        (await pair.SyncAsync(pair.A, pair.B)).ShouldBe(LineagePair.LengthBytes);
        pair.ShouldBeEqual();
    }

    [Fact]
    public async Task A_target_that_is_being_filled_can_go_back_to_what_it_held_before()
    {
        await using LineagePair pair = await LineagePair.RunningAsync();
        await pair.A.Primary.WriteAsync(0, 8 << 20, 0x41);
        pair.LoseLink();
        await pair.AloneAsync(pair.A);
        await pair.A.Primary.WriteAsync(0, 8 << 20, 0x42);
        await pair.KillAsync(pair.B);
        pair.B.Epochs = new(LineagePair.LengthBytes);
        await pair.OpenSecondaryAsync(pair.B);
        TaskCompletionSource never = new();
        await pair.AttachAsync(pair.A, pair.B, ResyncMode.Auto, link =>
            link.Gate = (op, offset) => op == "write" && offset >= 4 << 20 ? never.Task : Task.CompletedTask);
        await Eventually.TrueAsync(() => pair.B.Disk.Content[3 << 20] == 0x42, "half of it is filled");
        pair.B.Secondary.IsFilling.ShouldBeTrue();
        await pair.B.Secondary.VmView.ShouldHoldAsync(0, 8 << 20, 0x41);
        await pair.KillAsync(pair.A);

        // A restart in between keeps it, and the newest content is never promoted.
        await pair.KillAsync(pair.B);
        await pair.OpenSecondaryAsync(pair.B, starts: false);
        (await Should.ThrowAsync<ReplicationException>(
            async () => await pair.B.Secondary.StopAsync(new(2), failover: true, RecoveryPoint.LatestWrite)))
            .Message.ShouldContain("LastCheckpoint");
        await pair.PromoteAsync(pair.B, RecoveryPoint.LastCheckpoint, forced: true);
        await pair.B.Primary.ShouldHoldAsync(0, 8 << 20, 0x41);

        // And the former primary, which had gone on alone, follows it there.
        await pair.OpenSecondaryAsync(pair.A);
        await pair.SyncAsync(pair.B, pair.A);
        pair.A.Disk.Content.ShouldHold(0, 8 << 20, 0x41);
        pair.ShouldBeEqual();
    }

    [Fact]
    public async Task Without_room_the_older_content_is_given_up_and_the_filling_goes_on()
    {
        await using LineagePair pair = await LineagePair.RunningAsync();
        await pair.A.Primary.WriteAsync(0, 8 << 20, 0x51);
        pair.LoseLink();
        await pair.AloneAsync(pair.A);
        await pair.A.Primary.WriteAsync(0, 8 << 20, 0x52);
        await pair.KillAsync(pair.B);
        pair.B.Epochs = new(LineagePair.LengthBytes);
        await pair.OpenSecondaryAsync(pair.B, buffer: new BufferPolicy(1 << 20, BufferFullPolicy.Checkpoint));
        await pair.SyncAsync(pair.A, pair.B);
        pair.ShouldBeEqual();
    }

    [Fact]
    public async Task A_hot_extent_costs_no_write_of_the_log_and_the_log_never_holds_more_than_it_may()
    {
        await using LineagePair pair = await LineagePair.RunningAsync();
        await pair.A.Primary.WriteAsync(0, 4096, 0x61);
        int writes = pair.A.Store.ActivityWrites;
        for (int i = 0; i < 100; i++)
        {
            await pair.A.Primary.WriteAsync(i * 4096, 4096, 0x62);
        }

        pair.A.Store.ActivityWrites.ShouldBe(writes);
        pair.A.Store.Activity.ShouldBe([0]);
        await pair.A.Primary.WriteAsync(15 * Extent, 4096, 0x63);
        pair.A.Store.Activity.ShouldBe([0, 15]);
    }
}
