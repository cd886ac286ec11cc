using Microsoft.Extensions.Logging;

namespace Colo.Kubernetes;

/// <summary>
/// Works a queue off with some workers. What a reconcile throws is counted, logged and tried again with backoff; no failure ends a worker.
/// </summary>
public sealed class Controller(WorkQueue queue, IReconciler reconciler, ControllerOptions options, TimeProvider time, ILogger log)
{
    /// <summary>Until cancelled; returns when no reconcile runs any more.</summary>
    public Task RunAsync(CancellationToken token)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(options.Workers, 1);
        return Task.WhenAll(Enumerable.Range(0, options.Workers).Select(_ => Task.Run(() => WorkAsync(token), CancellationToken.None)));
    }

    private async Task WorkAsync(CancellationToken token)
    {
        while (!token.IsCancellationRequested)
        {
            ObjectKey key;
            try
            {
                key = await queue.GetAsync(token);
            }
            catch (OperationCanceledException) when (token.IsCancellationRequested)
            {
                return;
            }

            try
            {
                await WorkOnAsync(key, token);
            }
            finally
            {
                queue.Done(key);
            }
        }
    }

    private async Task WorkOnAsync(ObjectKey key, CancellationToken token)
    {
        long start = time.GetTimestamp();
        KubernetesMetrics.ActiveWorkers.WithLabels(options.Name).Inc();
        try
        {
            Succeeded(key, await ReconcileAsync(key, token));
        }
        catch (OperationCanceledException) when (token.IsCancellationRequested)
        {
            // The process ends; whoever leads next begins from what is the case.
        }
        catch (Exception e) when (e is not OutOfMemoryException)
        {
            Failed(key, e);
        }
        finally
        {
            KubernetesMetrics.ActiveWorkers.WithLabels(options.Name).Dec();
            KubernetesMetrics.ReconcileTime.WithLabels(options.Name).Observe(time.GetElapsedTime(start).TotalSeconds);
        }
    }

    private async Task<ReconcileResult> ReconcileAsync(ObjectKey key, CancellationToken token)
    {
        using CancellationTokenSource limit = new(options.ReconcileTimeout, time);
        using CancellationTokenSource either = CancellationTokenSource.CreateLinkedTokenSource(limit.Token, token);
        try
        {
            return await reconciler.ReconcileAsync(key, either.Token);
        }
        catch (OperationCanceledException e) when (limit.IsCancellationRequested && !token.IsCancellationRequested)
        {
            throw new TimeoutException($"not done within {options.ReconcileTimeout}", e);
        }
    }

    private void Succeeded(ObjectKey key, ReconcileResult result)
    {
        queue.Forget(key);
        if (result.RequeueAfter is { } delay)
        {
            queue.AddAfter(key, delay);
        }

        Count(result.RequeueAfter is null ? "success" : "requeue_after");
    }

    private void Failed(ObjectKey key, Exception e)
    {
        queue.AddRateLimited(key);
        Count("error");
        KubernetesMetrics.ReconcileErrors.WithLabels(options.Name).Inc();
        if (e is ApiException { Kind: ApiErrorKind.Conflict } or ApiException { IsTransient: true } or LeadershipLostException)
        {
            log.ReconcileRefused(options.Name, key, queue.Failures(key), e.Message);
        }
        else
        {
            log.ReconcileFailed(e, options.Name, key, queue.Failures(key));
        }
    }

    private void Count(string result) => KubernetesMetrics.Reconciles.WithLabels(options.Name, result).Inc();
}
