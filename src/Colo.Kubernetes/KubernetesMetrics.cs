using Prometheus;

namespace Colo.Kubernetes;

/// <summary>What every controller of the field shows, under controller-runtime's and client-go's names; in the default registry.</summary>
internal static class KubernetesMetrics
{
    private static readonly string[] QueueLabels = ["name"];
    private static readonly string[] ControllerLabels = ["controller"];

    private static readonly HistogramConfiguration QueueSeconds = new() { Buckets = Histogram.ExponentialBuckets(1e-6, 10, 9) };

    private static readonly HistogramConfiguration ReconcileSeconds = new()
    {
        Buckets = [.005, .01, .025, .05, .1, .15, .2, .25, .3, .4, .5, .75, 1, 1.5, 2, 3, 5, 7.5, 10, 20, 30, 60],
    };

    public static readonly Gauge QueueDepth = Metrics.CreateGauge("workqueue_depth", "Current depth of workqueue", QueueLabels);

    public static readonly Counter QueueAdds =
        Metrics.CreateCounter("workqueue_adds_total", "Total number of adds handled by workqueue", QueueLabels);

    public static readonly Counter QueueRetries =
        Metrics.CreateCounter("workqueue_retries_total", "Total number of retries handled by workqueue", QueueLabels);

    public static readonly Histogram QueueDuration = Metrics.CreateHistogram(
        "workqueue_queue_duration_seconds", "How long an item stays in workqueue before being requested", QueueLabels, QueueSeconds);

    public static readonly Histogram WorkDuration = Metrics.CreateHistogram(
        "workqueue_work_duration_seconds", "How long processing an item from workqueue takes", QueueLabels, QueueSeconds);

    public static readonly Counter Reconciles = Metrics.CreateCounter(
        "controller_runtime_reconcile_total", "Total number of reconciliations per controller", "controller", "result");

    public static readonly Counter ReconcileErrors = Metrics.CreateCounter(
        "controller_runtime_reconcile_errors_total", "Total number of reconciliation errors per controller", ControllerLabels);

    public static readonly Histogram ReconcileTime = Metrics.CreateHistogram(
        "controller_runtime_reconcile_time_seconds", "Length of time per reconciliation per controller", ControllerLabels, ReconcileSeconds);

    public static readonly Gauge ActiveWorkers = Metrics.CreateGauge(
        "controller_runtime_active_workers", "Number of currently used workers per controller", ControllerLabels);

    public static readonly Gauge Leader = Metrics.CreateGauge(
        "leader_election_master_status", "1 where this process leads, 0 where it waits", QueueLabels);

    public static readonly Counter Requests = Metrics.CreateCounter(
        "rest_client_requests_total", "Number of HTTP requests, partitioned by status code and method", "code", "method");
}
