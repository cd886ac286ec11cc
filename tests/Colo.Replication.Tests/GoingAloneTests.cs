using Colo.Blocks;
using Colo.Replication.Tests.Kit;
using Colo.Testing;
using static Colo.Replication.Tests.Kit.Pair;

namespace Colo.Replication.Tests;

public sealed class GoingAloneTests
{
    private static readonly byte[] Data = [.. Enumerable.Repeat((byte)0x22, 4096)];

    [Fact]
    public async Task A_write_whose_forward_failed_is_acknowledged_only_after_Stale_is_recorded()
    {
        await using Pair pair = await RunningAsync();
        TaskCompletionSource record = new();
        pair.Arbiter.Gate = () => record.Task;
        pair.Link.Fault = (op, _) => op == "write" ? BlockStatus.IoError : BlockStatus.Ok;
        Task<BlockStatus> first = pair.Primary.WriteAsync(0, Data).AsTask();
        await Eventually.TrueAsync(() => pair.Primary.ServeState == ServeState.Suspended, "suspended");
        Task<BlockStatus> later = pair.Primary.WriteAsync(8192, Data).AsTask();
        Task<BlockStatus> flush = pair.Primary.FlushAsync().AsTask();

        // Reads go on, also of what is held.
        await pair.Primary.ShouldHoldAsync(0, 4096, 0x22);
        await pair.Primary.ShouldHoldAsync(16384, 4096, 0);
        first.IsCompleted.ShouldBeFalse();
        later.IsCompleted.ShouldBeFalse();
        flush.IsCompleted.ShouldBeFalse();

        record.SetResult();
        (await first).ShouldBe(BlockStatus.Ok);
        (await later).ShouldBe(BlockStatus.Ok);
        (await flush).ShouldBe(BlockStatus.Ok);
        pair.Arbiter.Record.SecondaryState.ShouldBe(SecondaryState.Stale);
        pair.PrimaryDisk.Content.ShouldHold(8192, 4096, 0x22);
        await Eventually.TrueAsync(() => pair.Link.IsClosed, "the link is given up");
    }

    [Fact]
    public async Task A_write_in_flight_when_another_forward_fails_is_held_too()
    {
        await using Pair pair = await RunningAsync();
        TaskCompletionSource record = new();
        TaskCompletionSource slow = new();
        pair.Arbiter.Gate = () => record.Task;
        pair.Link.Gate = (_, offset) => offset == 0 ? slow.Task : Task.CompletedTask;
        pair.Link.Fault = (op, offset) => op == "write" && offset == 8192 ? BlockStatus.IoError : BlockStatus.Ok;
        Task<BlockStatus> slowWrite = pair.Primary.WriteAsync(0, Data).AsTask();
        Task<BlockStatus> failing = pair.Primary.WriteAsync(8192, Data).AsTask();
        await Eventually.TrueAsync(() => pair.Link.IsClosed, "the link is given up");
        slow.SetResult();
        await pair.Primary.ShouldHoldAsync(0, 4096, 0x22);
        slowWrite.IsCompleted.ShouldBeFalse();
        record.SetResult();
        (await slowWrite).ShouldBe(BlockStatus.Ok);
        (await failing).ShouldBe(BlockStatus.Ok);
    }

    [Fact]
    public async Task Without_an_answer_of_the_arbiter_writes_are_held_and_retried_until_there_is_one()
    {
        await using Pair pair = await RunningAsync();
        pair.Arbiter.IsSilent = true;
        pair.Link.Fault = (op, _) => op == "write" ? BlockStatus.IoError : BlockStatus.Ok;
        Task<BlockStatus> write = pair.Primary.WriteAsync(0, Data).AsTask();
        int before = pair.Arbiter.Updates;
        await pair.PassTimeUntil(() => pair.Arbiter.Updates >= before + 5, "five tries");
        write.IsCompleted.ShouldBeFalse();
        pair.Primary.ServeState.ShouldBe(ServeState.Suspended);
        await pair.Primary.ShouldHoldAsync(4096, 4096, 0);
        pair.Arbiter.IsSilent = false;
        await pair.PassTimeUntil(() => write.IsCompleted, "the write is answered");
        (await write).ShouldBe(BlockStatus.Ok);
        pair.Arbiter.Record.SecondaryState.ShouldBe(SecondaryState.Stale);
    }

    [Fact]
    public async Task An_update_whose_answer_was_lost_is_found_out_by_the_next_try()
    {
        await using Pair pair = await RunningAsync();
        pair.Arbiter.LosesAnswers = true;
        pair.Link.Fault = (op, _) => op == "write" ? BlockStatus.IoError : BlockStatus.Ok;
        Task<BlockStatus> write = pair.Primary.WriteAsync(0, Data).AsTask();
        await Eventually.TrueAsync(() => pair.Arbiter.Record.SecondaryState == SecondaryState.Stale, "recorded, unanswered");
        write.IsCompleted.ShouldBeFalse();
        pair.Arbiter.LosesAnswers = false;
        await pair.PassTimeUntil(() => write.IsCompleted, "the write is answered");
        (await write).ShouldBe(BlockStatus.Ok);
        pair.Arbiter.History.Count(state => state == SecondaryState.Stale).ShouldBe(1);
    }

    [Fact]
    public async Task A_newer_term_fences_held_and_later_requests_and_reads()
    {
        await using Pair pair = await RunningAsync();
        TaskCompletionSource record = new();
        pair.Arbiter.Gate = () => record.Task;
        pair.Link.Fault = (op, _) => op == "write" ? BlockStatus.IoError : BlockStatus.Ok;
        Task<BlockStatus> held = pair.Primary.WriteAsync(0, Data).AsTask();
        await Eventually.TrueAsync(() => pair.Primary.ServeState == ServeState.Suspended, "suspended");
        pair.Arbiter.TryPromoteSecondary().ShouldBeTrue();
        record.SetResult();
        (await held).ShouldBe(BlockStatus.Shutdown);
        pair.Primary.ServeState.ShouldBe(ServeState.Fenced);
        (await pair.Primary.WriteAsync(0, Data)).ShouldBe(BlockStatus.Shutdown);
        (await pair.Primary.ReadAsync(0, new byte[4096].AsMemory())).ShouldBe(BlockStatus.Shutdown);
        (await pair.Primary.FlushAsync()).ShouldBe(BlockStatus.Shutdown);
        (await pair.Primary.WriteZeroesAsync(new(0, 4096))).ShouldBe(BlockStatus.Shutdown);
        (await pair.Primary.GetExtentsAsync(new(0, 4096), [])).ShouldBe(BlockStatus.Shutdown);
        (await Should.ThrowAsync<ReplicationException>(async () => await pair.Primary.CheckpointAsync(One)))
            .Fault.ShouldBe(ReplicationFault.Superseded);
    }

    [Fact]
    public async Task A_promoted_secondary_refuses_forwards_and_the_old_primary_ends_fenced()
    {
        await using Pair pair = await RunningAsync();
        await pair.Primary.WriteAsync(0, 4096, 0x11);
        pair.Arbiter.TryPromoteSecondary().ShouldBeTrue();
        await pair.Secondary.StopAsync(One.Next(), failover: true, RecoveryPoint.LatestWrite);
        (await pair.Primary.WriteAsync(0, Data)).ShouldBe(BlockStatus.Shutdown);
        pair.Primary.ServeState.ShouldBe(ServeState.Fenced);
        await pair.Secondary.ServingDevice.ShouldHoldAsync(0, 4096, 0x11);
    }

    [Fact]
    public async Task A_hung_secondary_is_given_up_after_the_forward_timeout()
    {
        await using Pair pair = await RunningAsync();
        pair.Link.Gate = (op, _) => op == "write" ? new TaskCompletionSource().Task : Task.CompletedTask;
        Task<BlockStatus> write = pair.Primary.WriteAsync(0, Data).AsTask();
        pair.Time.Advance(TimeSpan.FromSeconds(9));
        pair.Primary.ServeState.ShouldBe(ServeState.Replicating);
        pair.Time.Advance(TimeSpan.FromSeconds(4));
        (await write).ShouldBe(BlockStatus.Ok);
        LatchedError error = pair.Primary.GetError(One).ShouldNotBeNull();
        error.Number.ShouldBe(ReplicationError.Forward);
        error.Message.ShouldContain("unanswered");
        pair.Arbiter.Record.SecondaryState.ShouldBe(SecondaryState.Stale);
    }

    [Fact]
    public async Task A_lost_link_is_noticed_without_a_write()
    {
        await using Pair pair = await RunningAsync();
        pair.Link.Break("connection reset");
        await Eventually.TrueAsync(() => pair.Primary.ServeState == ServeState.Alone, "alone");
        pair.Primary.GetError(One)!.Message.ShouldContain("connection reset");
        pair.Arbiter.Record.SecondaryState.ShouldBe(SecondaryState.Stale);
    }

    [Fact]
    public async Task Detaching_records_Stale_latches_no_error_and_a_new_attach_needs_a_copy()
    {
        await using Pair pair = await RunningAsync();
        await pair.Primary.DetachSecondaryAsync(One);
        pair.Arbiter.Record.SecondaryState.ShouldBe(SecondaryState.Stale);
        pair.Primary.GetError(One).ShouldBeNull();
        await pair.Primary.WriteAsync(0, 4096, 0x33);
        (await Should.ThrowAsync<ReplicationException>(
            async () => await pair.Primary.AttachSecondaryAsync(One, pair.NewLink(), ResyncMode.None)))
            .Message.ShouldContain("full resync");
    }

    [Fact]
    public async Task A_flush_answers_only_after_both_disks_and_fails_over_to_going_alone()
    {
        await using Pair pair = await RunningAsync();
        (await pair.Primary.FlushAsync()).ShouldBe(BlockStatus.Ok);
        (pair.PrimaryDisk.Flushes, pair.SecondaryDisk.Flushes).ShouldBe((1, 1));
        pair.SecondaryDisk.Fault = (op, _) => op == "flush" ? BlockStatus.IoError : BlockStatus.Ok;
        (await pair.Primary.FlushAsync()).ShouldBe(BlockStatus.Ok);
        pair.Arbiter.Record.SecondaryState.ShouldBe(SecondaryState.Stale);
        pair.Secondary.GetError(One)!.Number.ShouldBe(ReplicationError.SecondaryDisk);
    }

    [Fact]
    public async Task A_restarted_primary_with_a_secondary_in_sync_holds_everything_until_it_is_attached_or_Stale()
    {
        await using Pair pair = await RunningAsync();
        await pair.Primary.DisposeAsync();
        await using PrimaryReplica again = await pair.OpenPrimaryAsync();
        await again.Confirmed;
        again.ServeState.ShouldBe(ServeState.Waiting);
        Task<BlockStatus> read = again.ReadAsync(0, new byte[4096].AsMemory()).AsTask();
        Task<BlockStatus> write = again.WriteAsync(0, Data).AsTask();
        read.IsCompleted.ShouldBeFalse();
        write.IsCompleted.ShouldBeFalse();
        await pair.PassTimeUntil(() => write.IsCompleted, "gone alone after the attach timeout");
        (await write).ShouldBe(BlockStatus.Ok);
        (await read).ShouldBe(BlockStatus.Ok);
        pair.Arbiter.Record.SecondaryState.ShouldBe(SecondaryState.Stale);
    }

    [Fact]
    public async Task A_restarted_primary_serves_nothing_before_the_arbiter_confirms_its_term()
    {
        await using Pair pair = await RunningAsync();
        await pair.Primary.DisposeAsync();
        pair.Arbiter.IsSilent = true;
        await using PrimaryReplica again = await pair.OpenPrimaryAsync();
        Task<BlockStatus> read = again.ReadAsync(0, new byte[4096].AsMemory()).AsTask();
        pair.Arbiter.TryPromoteSecondary().ShouldBeTrue();
        pair.Time.Advance(TimeSpan.FromMinutes(1));
        read.IsCompleted.ShouldBeFalse();
        pair.Arbiter.IsSilent = false;
        await pair.PassTimeUntil(() => read.IsCompleted, "the read is refused");
        (await read).ShouldBe(BlockStatus.Shutdown);
        await Should.ThrowAsync<ReplicationException>(again.Confirmed);
    }
}
