using k8s;
using Microsoft.Extensions.Logging;

namespace Colo.Kubernetes;

/// <summary>
/// A copy of one collection of the API server, kept up to date by list and watch. It may lag; it never shows an object that was not
/// there, and misses no deletion for longer than it takes to reach the server again. One <see cref="RunAsync"/> at a time.
/// </summary>
public sealed class Informer<T>
{
    public Informer(IKubernetes client, ResourceType<T> type, InformerOptions options, TimeProvider time, ILogger log) =>
        throw new NotImplementedException();

    /// <summary>Told of each change, one after another, after the copy shows it; the first list counts as creations. Handlers only note
    /// the key (add it to a queue): what they do holds up the watch, and what they throw is logged.</summary>
    public event Action<ResourceChange<T>>? Changed { add => throw new NotImplementedException(); remove => throw new NotImplementedException(); }

    /// <summary>Told of each state of an object that does not parse.</summary>
    public event Action<UnreadableObject>? Unreadable { add => throw new NotImplementedException(); remove => throw new NotImplementedException(); }

    /// <summary>Completes when the first list is in the copy and told to <see cref="Changed"/>.</summary>
    public Task Synced => throw new NotImplementedException();

    /// <summary>How long ago the server last said anything (an event, a bookmark, a list); null before the first.</summary>
    public TimeSpan? SilentFor => throw new NotImplementedException();

    public Resource<T>? Get(ObjectKey key) => throw new NotImplementedException();

    /// <summary>All objects at one moment; the same array until something changes.</summary>
    public IReadOnlyList<Resource<T>> List() => throw new NotImplementedException();

    /// <summary>Follows the collection until cancelled; failures of the server are waited out, whatever they are.</summary>
    public Task RunAsync(CancellationToken token) => throw new NotImplementedException();
}
