using k8s;
using Microsoft.Extensions.Logging.Abstractions;

namespace Colo.Kubernetes.Tests.Kit;

/// <summary>An informer that runs, and every change that it told.</summary>
internal sealed class Following<T> : IAsyncDisposable
{
    private readonly CancellationTokenSource stop = new();
    private readonly Task running;
    private readonly Lock guard = new();
    private readonly List<ResourceChange<T>> changes = [];

    public Following(IKubernetes client, ResourceType<T> type, InformerOptions options)
    {
        Informer = new Informer<T>(client, type, options, TimeProvider.System, NullLogger.Instance);
        Informer.Changed += Note;
        running = Informer.RunAsync(stop.Token);
    }

    public Informer<T> Informer { get; }

    /// <summary>"+name", "~name" and "-name" for created, changed and deleted, in the order told.</summary>
    public IReadOnlyList<string> Told
    {
        get
        {
            lock (guard)
            {
                return [.. changes.Select(c => (c.Old is null ? "+" : c.New is null ? "-" : "~") + c.Key.Name)];
            }
        }
    }

    public IEnumerable<string> Names => Informer.List().Select(o => o.Key.Name).Order(StringComparer.Ordinal);

    public async ValueTask DisposeAsync()
    {
        await stop.CancelAsync();
        await running;
        stop.Dispose();
    }

    private void Note(ResourceChange<T> change)
    {
        lock (guard)
        {
            changes.Add(change);
        }
    }
}
