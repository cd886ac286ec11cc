using Colo.Blocks;
using Colo.Replication.Tests.Kit;
using Colo.Testing;
using static Colo.Replication.Tests.Kit.Pair;

namespace Colo.Replication.Tests;

public sealed class SecondaryTests
{
    [Fact]
    public async Task LatestWrite_gives_every_acknowledged_write_and_drops_the_buffers()
    {
        await using Pair pair = await RunningAsync(fill: 0x01);
        await pair.Primary.WriteAsync(0, 4096, 0x22);
        await pair.Secondary.VmView.WriteAsync(0, 8192, 0x33);
        await pair.Secondary.StopAsync(One.Next(), failover: true, RecoveryPoint.LatestWrite);
        pair.Secondary.State.ShouldBe(ReplicationState.Done);
        await pair.Secondary.ServingDevice.ShouldHoldAsync(0, 4096, 0x22);
        await pair.Secondary.ServingDevice.ShouldHoldAsync(4096, 4096, 0x01);
        (await pair.Secondary.VmView.ReadAsync(0, new byte[4096].AsMemory())).ShouldBe(BlockStatus.Shutdown);
    }

    [Fact]
    public async Task Nothing_is_served_before_the_promotion()
    {
        await using Pair pair = await RunningAsync();
        IBlockDevice served = pair.Secondary.ServingDevice;
        (await served.ReadAsync(0, new byte[4096].AsMemory())).ShouldBe(BlockStatus.Shutdown);
        await served.WriteAsync(0, 4096, 0x22, BlockStatus.Shutdown);
    }

    [Fact]
    public async Task A_write_that_failed_while_a_disk_is_filled_ends_that_copy_and_not_the_next_one()
    {
        await using Pair pair = await OpenAsync();
        await pair.Secondary.StartAsync(One, filling: true);
        ReplicationTarget target = pair.Secondary.OpenTarget(One);
        pair.SecondaryDisk.Fault = (op, _) => op == "write" ? BlockStatus.NoSpace : BlockStatus.Ok;
        await target.WriteAsync(0, 4096, 0x22, BlockStatus.NoSpace);
        pair.SecondaryDisk.Fault = null;
        (await target.CheckpointAsync()).ShouldBe(BlockStatus.IoError);

        // Its primary was told, lost the link, and comes back with a new copy.
        pair.Secondary.PrimaryConnected();
        await target.WriteAsync(0, 4096, 0x22);
        (await target.CheckpointAsync()).ShouldBe(BlockStatus.Ok);
        pair.Secondary.IsFilling.ShouldBeFalse();
    }

    [Fact]
    public async Task A_disk_that_is_being_filled_is_not_promoted_and_shows_no_view()
    {
        await using Pair pair = await OpenAsync();
        await pair.Secondary.StartAsync(One, filling: true);
        await pair.Secondary.OpenTarget(One).WriteAsync(0, 4096, 0x22);
        pair.Epochs.Hidden.AllocatedBytes.ShouldBe(0);
        (await pair.Secondary.VmView.ReadAsync(0, new byte[4096].AsMemory())).ShouldBe(BlockStatus.Shutdown);
        foreach (RecoveryPoint point in Enum.GetValues<RecoveryPoint>())
        {
            (await Should.ThrowAsync<ReplicationException>(async () => await pair.Secondary.StopAsync(One, failover: true, point)))
                .Fault.ShouldBe(ReplicationFault.WrongState);
        }

        await pair.Secondary.CheckpointAsync(One);
        pair.Secondary.IsFilling.ShouldBeFalse();
        await pair.Secondary.VmView.ShouldHoldAsync(0, 4096, 0x22);
    }

    [Fact]
    public async Task A_megabyte_touched_first_costs_one_read_and_one_hidden_write()
    {
        await using Pair pair = await RunningAsync(4 << 20, fill: 0x01);
        int reads = pair.SecondaryDisk.Reads;
        await pair.Primary.WriteAsync(1 << 20, 1 << 20, 0x22);
        (pair.SecondaryDisk.Reads - reads).ShouldBe(1);
        pair.Epochs.Hidden.Writes.ShouldBe(1);
        await pair.Primary.WriteAsync(1 << 20, 1 << 20, 0x23);
        pair.Epochs.Hidden.Writes.ShouldBe(1);
        pair.SecondaryNews.CopiedBytes.ShouldBe(1 << 20);
    }

    [Fact]
    public async Task Concurrent_first_touches_of_one_grain_copy_it_once_and_neither_writes_before()
    {
        await using Pair pair = await RunningAsync(fill: 0x01);
        TaskCompletionSource copy = new();
        pair.Epochs.Hidden.Gate = (op, _) => op == "write" ? copy.Task : Task.CompletedTask;
        ReplicationTarget target = pair.Secondary.OpenTarget(One);
        Task<BlockStatus> one = target.WriteAsync(0, Enumerable.Repeat((byte)0x22, 2048).ToArray()).AsTask();
        Task<BlockStatus> two = target.WriteAsync(2048, Enumerable.Repeat((byte)0x33, 2048).ToArray()).AsTask();
        pair.SecondaryDisk.Content.ShouldHold(0, 4096, 0x01);
        copy.SetResult();
        (await one).ShouldBe(BlockStatus.Ok);
        (await two).ShouldBe(BlockStatus.Ok);
        pair.Epochs.Hidden.Writes.ShouldBe(1);
        await pair.Secondary.VmView.ShouldHoldAsync(0, 4096, 0x01);
        pair.SecondaryDisk.Content.ShouldHold(2048, 2048, 0x33);
    }

    [Fact]
    public async Task A_partial_write_of_the_secondary_VM_is_filled_from_its_view()
    {
        await using Pair pair = await RunningAsync(fill: 0x01);
        await pair.Primary.WriteAsync(0, 4096, 0x22);
        await pair.Secondary.VmView.WriteAsync(1000, 5000, 0x33);
        await pair.Secondary.VmView.ShouldHoldAsync(0, 1000, 0x01);
        await pair.Secondary.VmView.ShouldHoldAsync(1000, 5000, 0x33);
        await pair.Secondary.VmView.ShouldHoldAsync(6000, 4096, 0x01);
        (await pair.Secondary.VmView.WriteZeroesAsync(new(2000, 100))).ShouldBe(BlockStatus.Ok);
        await pair.Secondary.VmView.ShouldHoldAsync(2000, 100, 0);
        await pair.Secondary.VmView.ShouldHoldAsync(2100, 1000, 0x33);
    }

    [Fact]
    public async Task A_read_that_races_with_the_first_overwrite_gets_the_old_content()
    {
        await using Pair pair = await RunningAsync(fill: 0x01);
        TaskCompletionSource reading = new();
        bool isView = true;
        pair.SecondaryDisk.Gate = (op, _) => op == "read" && isView ? reading.Task : Task.CompletedTask;
        Task<byte[]> view = Bytes.ReadAsync(pair.Secondary.VmView, 0, 4096);
        isView = false;
        await pair.Primary.WriteAsync(0, 4096, 0x22);
        reading.SetResult();
        (await view).ShouldAllBe(b => b == 0x01);
    }

    [Fact]
    public async Task Forwards_called_before_a_checkpoint_belong_to_it_and_later_ones_do_not()
    {
        await using Pair pair = await RunningAsync(fill: 0x01);
        ReplicationTarget target = pair.Secondary.OpenTarget(One);
        TaskCompletionSource slow = new();
        pair.SecondaryDisk.Gate = (op, offset) => op == "write" && offset == 0 ? slow.Task : Task.CompletedTask;
        Task<BlockStatus> before = target.WriteAsync(0, Enumerable.Repeat((byte)0x22, 4096).ToArray()).AsTask();
        Task<BlockStatus> checkpoint = target.CheckpointAsync().AsTask();
        Task<BlockStatus> after = target.WriteAsync(4096, Enumerable.Repeat((byte)0x33, 4096).ToArray()).AsTask();
        checkpoint.IsCompleted.ShouldBeFalse();
        after.IsCompleted.ShouldBeFalse();
        slow.SetResult();
        (await before).ShouldBe(BlockStatus.Ok);
        (await checkpoint).ShouldBe(BlockStatus.Ok);
        (await after).ShouldBe(BlockStatus.Ok);
        await pair.Secondary.VmView.ShouldHoldAsync(0, 4096, 0x22);
        await pair.Secondary.VmView.ShouldHoldAsync(4096, 4096, 0x01);
    }

    [Fact]
    public async Task A_view_never_mixes_epochs()
    {
        // The primary writes the same number over the whole disk, then checkpoints: whatever the view shows, it is one number.
        await using Pair pair = await RunningAsync(256 << 10);
        using CancellationTokenSource stop = new();
        Task<int> reader = Task.Run(async () =>
        {
            int seen = 0;
            byte[] content = new byte[256 << 10];
            while (!stop.IsCancellationRequested)
            {
                (await pair.Secondary.VmView.ReadAsync(0, content.AsMemory())).ShouldBe(BlockStatus.Ok);
                content.AsSpan().IndexOfAnyExcept(content[0]).ShouldBe(-1);
                seen++;
            }

            return seen;
        });
        for (byte number = 1; number <= 100; number++)
        {
            for (int offset = 0; offset < 256 << 10; offset += 16 << 10)
            {
                await pair.Primary.WriteAsync(offset, 16 << 10, number);
            }

            await pair.Primary.CheckpointAsync(One);
            await pair.Secondary.VmView.ShouldHoldAsync(0, 256 << 10, number);
        }

        await stop.CancelAsync();
        (await reader).ShouldBeGreaterThan(0);
    }

    [Fact]
    public async Task The_high_water_mark_asks_for_a_checkpoint_once_an_epoch()
    {
        await using Pair pair = await RunningAsync(4 << 20, fill: 0x01, buffer: new(2 << 20, BufferFullPolicy.Checkpoint, 1 << 20));
        await pair.Primary.WriteAsync(0, 512 << 10, 0x22);
        pair.SecondaryNews.Wanted.ShouldBeEmpty();
        await pair.Primary.WriteAsync(512 << 10, 1 << 20, 0x22);
        await pair.Primary.WriteAsync(1536 << 10, 64 << 10, 0x22);
        pair.SecondaryNews.Wanted.ShouldBe([CheckpointReason.HighWater]);
        await pair.Primary.CheckpointAsync(One);
        await pair.Primary.WriteAsync(0, 1 << 20, 0x23);
        pair.SecondaryNews.Wanted.Count.ShouldBe(2);
    }

    [Fact]
    public async Task At_the_limit_writes_wait_for_the_forced_checkpoint_and_go_on()
    {
        await using Pair pair = await RunningAsync(4 << 20, fill: 0x01, buffer: new(1 << 20, BufferFullPolicy.Checkpoint));
        await pair.Primary.WriteAsync(0, 1 << 20, 0x22);
        Task<BlockStatus> waits = pair.Primary.WriteAsync(2 << 20, new byte[4096]).AsTask();
        await Eventually.TrueAsync(() => pair.SecondaryNews.Wanted.Contains(CheckpointReason.BufferFull), "asked");
        waits.IsCompleted.ShouldBeFalse();
        pair.SecondaryDisk.Content.ShouldHold(2 << 20, 4096, 0x01);
        await pair.Primary.CheckpointAsync(One);
        (await waits).ShouldBe(BlockStatus.Ok);
        pair.Primary.ServeState.ShouldBe(ServeState.Replicating);
        pair.Secondary.BufferedBytes.ShouldBeLessThanOrEqualTo(1 << 20);
    }

    [Fact]
    public async Task At_the_limit_without_a_checkpoint_the_write_fails_with_error_3_in_bounded_time()
    {
        await using Pair pair = await RunningAsync(4 << 20, fill: 0x01, buffer: new(1 << 20, BufferFullPolicy.Checkpoint));
        await pair.Primary.WriteAsync(0, 1 << 20, 0x22);
        Task<BlockStatus> waits = pair.Primary.WriteAsync(2 << 20, new byte[4096]).AsTask();
        await Eventually.TrueAsync(() => pair.SecondaryNews.Wanted.Contains(CheckpointReason.BufferFull), "asked");
        await pair.PassTimeUntil(() => waits.IsCompleted, "given up");
        (await waits).ShouldBe(BlockStatus.Ok);
        pair.Secondary.GetError(One)!.Number.ShouldBe(ReplicationError.Backup);
        pair.Arbiter.Record.SecondaryState.ShouldBe(SecondaryState.Stale);
        pair.SecondaryDisk.Content.ShouldHold(2 << 20, 4096, 0x01);
    }

    [Fact]
    public async Task At_the_limit_the_detach_policy_lets_the_primary_go_on_alone()
    {
        await using Pair pair = await RunningAsync(4 << 20, fill: 0x01, buffer: new(1 << 20, BufferFullPolicy.Detach));
        await pair.Primary.WriteAsync(0, 1 << 20, 0x22);
        await pair.Primary.WriteAsync(2 << 20, 4096, 0x22);
        pair.Primary.ServeState.ShouldBe(ServeState.Alone);
        pair.Secondary.GetError(One)!.Number.ShouldBe(ReplicationError.Backup);
        pair.SecondaryDisk.Content.ShouldHold(2 << 20, 4096, 0x01);
        await pair.Secondary.VmView.ShouldHoldAsync(0, 4 << 20, 0x01);
    }

    [Fact]
    public async Task A_call_or_forward_of_a_lower_term_is_refused_and_a_higher_one_is_stored_first()
    {
        await using Pair pair = await RunningAsync(fill: 0x01);
        ReplicationTarget old = pair.Secondary.OpenTarget(One);
        pair.SecondaryTerms.Fails = true;
        await Should.ThrowAsync<IOException>(async () => await pair.Secondary.CheckpointAsync(new Term(3)));
        await old.WriteAsync(0, 4096, 0x22);
        pair.Secondary.Epoch.ShouldBe(1);
        pair.SecondaryTerms.Fails = false;
        await pair.Secondary.CheckpointAsync(new Term(3));
        pair.SecondaryTerms.Stored.ShouldBe(new Term(3));
        await old.WriteAsync(0, 4096, 0x33, BlockStatus.Shutdown);
        (await old.FlushAsync()).ShouldBe(BlockStatus.Shutdown);
        (await Should.ThrowAsync<StaleTermException>(async () => await pair.Secondary.CheckpointAsync(new Term(2)))).Seen.ShouldBe(new Term(3));
        Should.Throw<StaleTermException>(() => pair.Secondary.OpenTarget(One));
        Should.Throw<StaleTermException>(() => pair.Secondary.GetError(One));
        await Should.ThrowAsync<StaleTermException>(async () => await pair.OpenSecondaryAsync(pair.Epochs.Reopen(), term: One));
    }

    [Fact]
    public async Task A_restarted_secondary_adopts_its_buffers_and_the_epoch_goes_on()
    {
        await using Pair pair = await RunningAsync(fill: 0x01);
        await pair.Primary.WriteAsync(0, 8192, 0x22);
        await pair.Secondary.VmView.WriteAsync(4096, 8192, 0x33);
        await using SecondaryReplica again = await pair.OpenSecondaryAsync(pair.Epochs.Reopen());
        again.State.ShouldBe(ReplicationState.Running);
        again.Epoch.ShouldBe(1);
        await again.VmView.ShouldHoldAsync(0, 4096, 0x01);
        await again.VmView.ShouldHoldAsync(4096, 8192, 0x33);
        await again.OpenTarget(One).WriteAsync(0, 4096, 0x44);
        await again.VmView.ShouldHoldAsync(0, 4096, 0x01);
        await again.CheckpointAsync(One);
        await again.VmView.ShouldHoldAsync(0, 4096, 0x44);
        await again.VmView.ShouldHoldAsync(4096, 4096, 0x22);
    }

    [Fact]
    public async Task A_secondary_that_lost_its_buffers_has_no_last_checkpoint_but_every_write()
    {
        await using Pair pair = await RunningAsync(fill: 0x01);
        await pair.Primary.WriteAsync(0, 8192, 0x22);
        await using SecondaryReplica again = await pair.OpenSecondaryAsync(pair.Epochs.Reopen(withPairs: false));
        again.HasView.ShouldBeFalse();
        (await Should.ThrowAsync<ReplicationException>(
            async () => await again.StopAsync(One.Next(), failover: true, RecoveryPoint.LastCheckpoint)))
            .Fault.ShouldBe(ReplicationFault.WrongState);
        await again.StopAsync(One.Next(), failover: true, RecoveryPoint.LatestWrite);
        await again.ServingDevice.ShouldHoldAsync(0, 8192, 0x22);
    }

    [Fact]
    public async Task A_commit_that_was_killed_in_the_middle_is_done_again_and_gives_the_same_disk()
    {
        await using Pair pair = await RunningAsync(4 << 20, fill: 0x01);
        await pair.Primary.WriteAsync(0, 4 << 20, 0x22);
        await pair.Secondary.VmView.WriteAsync(1 << 20, 1 << 20, 0x33);
        TaskCompletionSource kill = new();
        pair.SecondaryDisk.Gate = (op, offset) => op == "write" && offset >= 2 << 20 ? kill.Task : Task.CompletedTask;
        await pair.Secondary.StopAsync(One.Next(), failover: true, RecoveryPoint.LastCheckpoint);
        await pair.Secondary.ServingDevice.WriteAsync(512 << 10, 4096, 0x44);
        await pair.Secondary.ServingDevice.ShouldHoldAsync(3 << 20, 1 << 20, 0x01);
        MemoryEpochStore left = pair.Epochs.Reopen();
        left.Record.Phase.ShouldBe(EpochPhase.Committing);
        pair.SecondaryDisk.Gate = null;
        await using SecondaryReplica again = await pair.OpenSecondaryAsync(left, term: One.Next());
        (await again.CommitCompletion).ShouldBeTrue();
        again.State.ShouldBe(ReplicationState.Done);
        kill.SetResult();
        await pair.Secondary.CommitCompletion;
        pair.SecondaryDisk.Content.ShouldHold(0, 512 << 10, 0x01);
        pair.SecondaryDisk.Content.ShouldHold(512 << 10, 4096, 0x44);
        pair.SecondaryDisk.Content.ShouldHold((512 << 10) + 4096, (512 << 10) - 4096, 0x01);
        pair.SecondaryDisk.Content.ShouldHold(1 << 20, 1 << 20, 0x33);
        pair.SecondaryDisk.Content.ShouldHold(2 << 20, 2 << 20, 0x01);
    }
}
