using System.Collections.Concurrent;
using Colo.Testing;
using Microsoft.Extensions.Logging.Abstractions;

namespace Colo.Kubernetes.Tests;

public sealed class ControllerTests
{
    private static readonly WorkQueueOptions Fast = new() { BaseDelay = TimeSpan.FromMilliseconds(1), MaxDelay = TimeSpan.FromMilliseconds(20) };

    [Fact]
    public async Task An_object_is_never_worked_on_twice_at_the_same_time_and_none_is_forgotten()
    {
        ConcurrentDictionary<ObjectKey, int> active = new();
        ConcurrentDictionary<ObjectKey, int> runs = new();
        int overlaps = 0;
        using WorkQueue queue = new("overlap", Fast, TimeProvider.System);
        await RunWhileAsync(
            queue,
            async (key, token) =>
            {
                if (active.AddOrUpdate(key, 1, (_, n) => n + 1) > 1)
                {
                    Interlocked.Increment(ref overlaps);
                }

                await Task.Yield();
                runs.AddOrUpdate(key, 1, (_, n) => n + 1);
                active.AddOrUpdate(key, 0, (_, n) => n - 1);

                // Whoever fails is added again by the controller, while a test thread adds it too.
                return Random.Shared.Next(4) == 0 ? throw new InvalidOperationException("chance") : ReconcileResult.Done;
            },
            async () =>
            {
                await Parallel.ForAsync(0, 4000, (i, _) =>
                {
                    queue.Add(new ObjectKey("ns", $"key-{i % 17}"));
                    return ValueTask.CompletedTask;
                });
                await Eventually.TrueAsync(() => queue.Depth == 0 && active.Values.All(n => n == 0) && runs.Count == 17, "all is worked off");
            });
        overlaps.ShouldBe(0);
    }

    [Fact]
    public async Task A_reconcile_that_throws_is_tried_again_until_it_succeeds()
    {
        int attempts = 0;
        using WorkQueue queue = new("retry", Fast, TimeProvider.System);
        ObjectKey key = new("ns", "a");
        await RunWhileAsync(
            queue,
            (_, _) => ++attempts < 4 ? throw new IOException("not yet") : ValueTask.FromResult(ReconcileResult.Done),
            async () =>
            {
                queue.Add(key);
                await Eventually.TrueAsync(() => attempts == 4 && queue.Failures(key) == 0, "the fourth attempt succeeds");
            });
    }

    [Fact]
    public async Task A_reconcile_that_asks_for_it_is_called_again()
    {
        int calls = 0;
        using WorkQueue queue = new("again", Fast, TimeProvider.System);
        await RunWhileAsync(
            queue,
            (_, _) => ValueTask.FromResult(++calls < 3 ? ReconcileResult.After(TimeSpan.FromMilliseconds(5)) : ReconcileResult.Done),
            async () =>
            {
                queue.Add(new ObjectKey("ns", "a"));
                await Eventually.TrueAsync(() => calls == 3, "called as often as it asked");
            });
    }

    [Fact]
    public async Task A_reconcile_that_hangs_is_cancelled_and_holds_up_no_other_for_ever()
    {
        int attempts = 0;
        using WorkQueue queue = new("hang", Fast, TimeProvider.System);
        await RunWhileAsync(
            queue,
            async (_, token) =>
            {
                if (++attempts == 1)
                {
                    await Task.Delay(Timeout.InfiniteTimeSpan, token);
                }

                return ReconcileResult.Done;
            },
            async () =>
            {
                queue.Add(new ObjectKey("ns", "a"));
                await Eventually.TrueAsync(() => attempts == 2, "cancelled by its bound, then tried again");
            },
            TimeSpan.FromMilliseconds(100));
    }

    [Fact]
    public async Task Work_shows_in_the_metrics_under_the_names_that_dashboards_know()
    {
        int calls = 0;
        using WorkQueue queue = new("measured", Fast, TimeProvider.System);
        await RunWhileAsync(
            queue,
            (_, _) => ++calls == 1 ? throw new IOException("once") : ValueTask.FromResult(ReconcileResult.Done),
            async () =>
            {
                queue.Add(new ObjectKey("ns", "a"));
                await Eventually.TrueAsync(() => calls == 2, "worked on twice");
            });
        using MemoryStream exported = new();
        await Prometheus.Metrics.DefaultRegistry.CollectAndExportAsTextAsync(exported);
        string[] lines = System.Text.Encoding.UTF8.GetString(exported.ToArray()).Split('\n');
        lines.ShouldContain("workqueue_depth{name=\"measured\"} 0");
        lines.ShouldContain("workqueue_adds_total{name=\"measured\"} 2");
        lines.ShouldContain("workqueue_retries_total{name=\"measured\"} 1");
        lines.ShouldContain("workqueue_queue_duration_seconds_count{name=\"measured\"} 2");
        lines.ShouldContain("workqueue_work_duration_seconds_count{name=\"measured\"} 2");
        lines.ShouldContain("controller_runtime_reconcile_total{controller=\"measured\",result=\"error\"} 1");
        lines.ShouldContain("controller_runtime_reconcile_total{controller=\"measured\",result=\"success\"} 1");
        lines.ShouldContain("controller_runtime_reconcile_errors_total{controller=\"measured\"} 1");
        lines.ShouldContain("controller_runtime_reconcile_time_seconds_count{controller=\"measured\"} 2");
        lines.ShouldContain("controller_runtime_active_workers{controller=\"measured\"} 0");
    }

    private static async Task RunWhileAsync(
        WorkQueue queue, Func<ObjectKey, CancellationToken, ValueTask<ReconcileResult>> reconcile, Func<Task> test, TimeSpan? bound = null)
    {
        using CancellationTokenSource stop = new();
        ControllerOptions options = new() { Name = queue.Name, ReconcileTimeout = bound ?? TimeSpan.FromMinutes(1) };
        Controller controller = new(queue, new Reconciler(reconcile), options, TimeProvider.System, NullLogger.Instance);
        Task running = controller.RunAsync(stop.Token);
        await test();
        await stop.CancelAsync();
        await running;
    }

    private sealed class Reconciler(Func<ObjectKey, CancellationToken, ValueTask<ReconcileResult>> reconcile) : IReconciler
    {
        public ValueTask<ReconcileResult> ReconcileAsync(ObjectKey key, CancellationToken token) => reconcile(key, token);
    }
}
