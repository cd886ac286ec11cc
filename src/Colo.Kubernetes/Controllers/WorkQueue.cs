namespace Colo.Kubernetes;

/// <summary>
/// Keys that wait for work. A key is in it once however often it is added; it is never handed out while somebody works on it; added
/// meanwhile, it is handed out once more after <see cref="Done"/>. Holds keys, never objects: who works reads the latest.
/// </summary>
public sealed class WorkQueue : IDisposable
{
    public WorkQueue(string name, WorkQueueOptions options, TimeProvider time) => throw new NotImplementedException();

    /// <summary>Label of its metrics.</summary>
    public string Name => throw new NotImplementedException();

    /// <summary>Keys ready to be worked on now.</summary>
    public int Depth => throw new NotImplementedException();

    public void Add(ObjectKey key) => throw new NotImplementedException();

    /// <summary>Adds the key after that time; where it waits already, the earlier of the two counts.</summary>
    public void AddAfter(ObjectKey key, TimeSpan delay) => throw new NotImplementedException();

    /// <summary>Adds the key after its backoff, which grows until <see cref="Forget"/>.</summary>
    public void AddRateLimited(ObjectKey key) => throw new NotImplementedException();

    /// <summary>The key succeeded: its backoff begins anew.</summary>
    public void Forget(ObjectKey key) => throw new NotImplementedException();

    /// <summary>How often the key failed since it last succeeded.</summary>
    public int Failures(ObjectKey key) => throw new NotImplementedException();

    /// <summary>The next key; whoever takes it calls <see cref="Done"/>, whatever happened.</summary>
    public ValueTask<ObjectKey> GetAsync(CancellationToken token) => throw new NotImplementedException();

    public void Done(ObjectKey key) => throw new NotImplementedException();

    public void Dispose() => throw new NotImplementedException();
}
