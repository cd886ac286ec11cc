using CsCheck;
using Microsoft.Extensions.Time.Testing;

namespace Colo.Kubernetes.Tests;

public sealed class WorkQueueTests : IDisposable
{
    private static readonly ObjectKey A = new("ns", "a");
    private static readonly ObjectKey B = new("ns", "b");

    private readonly FakeTimeProvider time = new();
    private readonly WorkQueue queue;

    public WorkQueueTests() => queue = new WorkQueue("test", new WorkQueueOptions { Jitter = 0 }, time);

    public void Dispose() => queue.Dispose();

    [Fact]
    public async Task A_key_is_in_the_queue_once_however_often_it_is_added()
    {
        queue.Add(A);
        queue.Add(B);
        queue.Add(A);
        queue.Depth.ShouldBe(2);
        (await queue.GetAsync(default)).ShouldBe(A);
        (await queue.GetAsync(default)).ShouldBe(B);
        queue.Depth.ShouldBe(0);
    }

    [Fact]
    public async Task A_key_added_while_it_is_worked_on_is_handed_out_once_more_and_not_before()
    {
        queue.Add(A);
        await queue.GetAsync(default);
        queue.Add(A);
        queue.Add(A);
        ValueTask<ObjectKey> next = queue.GetAsync(default);
        next.IsCompleted.ShouldBeFalse();
        queue.Done(A);
        (await next).ShouldBe(A);
        queue.Done(A);
        queue.Depth.ShouldBe(0);
    }

    [Fact]
    public void A_delayed_key_comes_at_the_earliest_of_its_times_and_once()
    {
        queue.AddAfter(A, TimeSpan.FromSeconds(10));
        queue.AddAfter(A, TimeSpan.FromSeconds(3));
        queue.AddAfter(A, TimeSpan.FromSeconds(20));
        time.Advance(TimeSpan.FromSeconds(2.9));
        queue.Depth.ShouldBe(0);
        time.Advance(TimeSpan.FromSeconds(0.2));
        queue.Depth.ShouldBe(1);
        queue.Done(Take());
        time.Advance(TimeSpan.FromMinutes(1));
        queue.Depth.ShouldBe(0);
    }

    [Fact]
    public void The_backoff_of_a_key_doubles_up_to_its_cap_and_begins_anew_when_it_is_forgotten()
    {
        double[] waits = [.. Enumerable.Range(0, 12).Select(_ => SecondsUntilRetried(A))];
        waits[0].ShouldBe(0.1, 0.011);
        waits[1].ShouldBe(0.2, 0.011);
        waits[4].ShouldBe(1.6, 0.011);
        waits[11].ShouldBe(60, 0.011);
        SecondsUntilRetried(B).ShouldBe(0.1, 0.011, "each key has its own");
        queue.Failures(A).ShouldBe(12);
        queue.Forget(A);
        SecondsUntilRetried(A).ShouldBe(0.1, 0.011);
    }

    [Fact]
    public async Task Waiting_for_a_key_ends_with_the_token_and_loses_none()
    {
        using CancellationTokenSource stop = new();
        ValueTask<ObjectKey> waiting = queue.GetAsync(stop.Token);
        await stop.CancelAsync();
        await Should.ThrowAsync<OperationCanceledException>(async () => await waiting);
        queue.Add(A);
        Take().ShouldBe(A);
    }

    [Fact]
    public void A_key_that_nobody_took_cannot_be_done() => Should.Throw<InvalidOperationException>(() => queue.Done(A));

    /// <summary>Against a model: what is asked for and not taken since will be handed out; what is being worked on is not.</summary>
    [Fact]
    public void No_order_of_calls_loses_a_key_doubles_it_or_hands_it_to_two()
    {
        Gen<(int Step, int Key)[]> histories = Gen.Select(Gen.Int[0, 4], Gen.Int[0, 3]).Array[1, 60];
        histories.Sample(history => Holds(history), iter: 2000);
    }

    private static bool Holds((int Step, int Key)[] history)
    {
        FakeTimeProvider clock = new();
        using WorkQueue tested = new("model", new WorkQueueOptions { Jitter = 0 }, clock);
        HashSet<ObjectKey> asked = [];
        HashSet<ObjectKey> taken = [];
        foreach ((int step, int number) in history)
        {
            ObjectKey key = new("ns", number.ToString(System.Globalization.CultureInfo.InvariantCulture));
            switch (step)
            {
                case 0:
                    tested.Add(key);
                    asked.Add(key);
                    break;
                case 1:
                    tested.AddAfter(key, TimeSpan.FromSeconds(1));
                    clock.Advance(TimeSpan.FromSeconds(1));
                    asked.Add(key);
                    break;
                case 2 when asked.Except(taken).Any():
                    ObjectKey got = tested.GetAsync(default).AsTask().GetAwaiter().GetResult();
                    if (!asked.Remove(got) || !taken.Add(got))
                    {
                        return false;
                    }

                    break;
                case 3 when taken.Contains(key):
                    tested.Done(key);
                    taken.Remove(key);
                    break;
                case 4:
                    tested.AddRateLimited(key);
                    clock.Advance(TimeSpan.FromMinutes(1));
                    asked.Add(key);
                    break;
                default:
                    break;
            }

            if (tested.Depth != asked.Except(taken).Count())
            {
                return false;
            }
        }

        return true;
    }

    private ObjectKey Take()
    {
        ValueTask<ObjectKey> got = queue.GetAsync(default);
        got.IsCompleted.ShouldBeTrue();
        return got.Result;
    }

    private double SecondsUntilRetried(ObjectKey key)
    {
        queue.AddRateLimited(key);
        int steps = 0;
        while (queue.Depth == 0)
        {
            time.Advance(TimeSpan.FromMilliseconds(10));
            steps++;
        }

        queue.Done(Take());
        return steps / 100.0;
    }
}
