using Colo.Blocks;
using Colo.Replication.Tests.Kit;
using Colo.Testing;
using static Colo.Replication.Tests.Kit.Pair;

namespace Colo.Replication.Tests;

/// <summary>A primary that slept, or whose network did, and wakes with the answer to what it sent before.</summary>
public sealed class LateAnswerTests
{
    private static readonly TimeSpan Slept = TimeSpan.FromSeconds(5);
    private static readonly byte[] Data = [.. Enumerable.Repeat((byte)0x22, 4096)];

    [Fact]
    public async Task After_a_takeover_it_is_not_acknowledged()
    {
        await using Pair pair = await RunningAsync();
        TaskCompletionSource answer = new();
        Task<BlockStatus> write = await SleepWithAWriteAsync(pair, answer);
        pair.Arbiter.TryPromoteSecondary().ShouldBeTrue();
        await pair.Secondary.StopAsync(pair.Arbiter.Record.Term, failover: true, RecoveryPoint.LatestWrite);

        answer.SetResult();

        (await write).ShouldBe(BlockStatus.Shutdown);
        pair.Primary.ServeState.ShouldBe(ServeState.Fenced);
        pair.SecondaryDisk.Content.ShouldHold(0, 4096, 0x22);
    }

    [Fact]
    public async Task After_a_takeover_it_is_not_acknowledged_where_the_arbiter_is_silent_either()
    {
        await using Pair pair = await RunningAsync();
        TaskCompletionSource answer = new();
        Task<BlockStatus> write = await SleepWithAWriteAsync(pair, answer);
        pair.Arbiter.TryPromoteSecondary().ShouldBeTrue();
        await pair.Secondary.StopAsync(pair.Arbiter.Record.Term, failover: true, RecoveryPoint.LatestWrite);
        pair.Arbiter.IsSilent = true;

        answer.SetResult();

        await Eventually.TrueAsync(() => pair.Primary.ServeState == ServeState.Suspended, "suspended");
        write.IsCompleted.ShouldBeFalse();
        pair.Arbiter.IsSilent = false;
        await pair.PassTimeUntil(() => write.IsCompleted, "the arbiter has answered");
        (await write).ShouldBe(BlockStatus.Shutdown);
    }

    [Fact]
    public async Task Without_the_arbiter_the_word_of_the_secondary_is_enough()
    {
        await using Pair pair = await RunningAsync();
        pair.Arbiter.IsSilent = true;
        TaskCompletionSource answer = new();
        Task<BlockStatus> write = await SleepWithAWriteAsync(pair, answer);

        answer.SetResult();

        (await write).ShouldBe(BlockStatus.Ok);
        pair.Link.Log.ShouldContain("read");
        pair.Primary.ServeState.ShouldBe(ServeState.Replicating);
    }

    [Fact]
    public async Task Behind_a_slow_link_the_word_of_the_arbiter_is_enough()
    {
        await using Pair pair = await RunningAsync();
        TaskCompletionSource answer = new();
        Task<BlockStatus> write = await SleepWithAWriteAsync(pair, answer);
        TaskCompletionSource slow = new();
        pair.Link.ReturnGate = (op, _) => op == "read" ? slow.Task : Task.CompletedTask;

        answer.SetResult();

        (await write).ShouldBe(BlockStatus.Ok);
        pair.Primary.ServeState.ShouldBe(ServeState.Replicating);
        slow.SetResult();
    }

    [Fact]
    public async Task A_secondary_that_does_not_answer_the_question_is_given_up()
    {
        await using Pair pair = await RunningAsync();
        pair.Arbiter.IsSilent = true;
        TaskCompletionSource answer = new();
        Task<BlockStatus> write = await SleepWithAWriteAsync(pair, answer);
        pair.Link.ReturnGate = (op, _) => op == "read" ? Task.Delay(Timeout.Infinite) : Task.CompletedTask;

        answer.SetResult();

        await pair.PassTimeUntil(() => pair.Primary.ServeState == ServeState.Suspended, "suspended");
        write.IsCompleted.ShouldBeFalse();
        pair.Arbiter.IsSilent = false;
        await pair.PassTimeUntil(() => write.IsCompleted, "the arbiter has answered");
        (await write).ShouldBe(BlockStatus.Ok);
        pair.Arbiter.Record.SecondaryState.ShouldBe(SecondaryState.Stale);
    }

    [Fact]
    public async Task An_answer_in_time_asks_nobody()
    {
        await using Pair pair = await RunningAsync();
        int asked = pair.Link.Log.Count(op => op == "read");

        (await pair.Primary.WriteAsync(0, Data)).ShouldBe(BlockStatus.Ok);

        pair.Link.Log.Count(op => op == "read").ShouldBe(asked);
    }

    /// <summary>The secondary has the write and answers; the answer arrives when <paramref name="answer"/> says so, long after.</summary>
    private static async Task<Task<BlockStatus>> SleepWithAWriteAsync(Pair pair, TaskCompletionSource answer)
    {
        TaskCompletionSource sent = new();
        pair.Link.ReturnGate = (op, _) =>
        {
            if (op != "write")
            {
                return Task.CompletedTask;
            }

            sent.TrySetResult();
            return answer.Task;
        };
        Task<BlockStatus> write = pair.Primary.WriteAsync(0, Data).AsTask();
        await sent.Task;
        pair.Time.Advance(Slept);
        write.IsCompleted.ShouldBeFalse();
        return write;
    }
}
