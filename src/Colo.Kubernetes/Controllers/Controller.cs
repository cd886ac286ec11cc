using Microsoft.Extensions.Logging;

namespace Colo.Kubernetes;

/// <summary>
/// Works a queue off with some workers. What a reconcile throws is counted, logged and tried again with backoff; no failure ends a worker.
/// </summary>
public sealed class Controller
{
    public Controller(WorkQueue queue, IReconciler reconciler, ControllerOptions options, TimeProvider time, ILogger log) =>
        throw new NotImplementedException();

    /// <summary>Until cancelled; returns when no reconcile runs any more.</summary>
    public Task RunAsync(CancellationToken token) => throw new NotImplementedException();
}
