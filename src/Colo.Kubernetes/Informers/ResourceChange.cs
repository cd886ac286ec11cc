namespace Colo.Kubernetes;

/// <summary>
/// One object's step: created where <see cref="Old"/> is null, deleted where <see cref="New"/> is null. What lay between the two may
/// never be told: states, not events.
/// </summary>
public readonly record struct ResourceChange<T>(Resource<T>? Old, Resource<T>? New)
{
    public ObjectKey Key => (New ?? Old)!.Key;

    public bool IsDeletion => New is null;
}

/// <summary>An object that the API server holds and that is not a value of the type: it stays out of the cache (or stays as it
/// was last readable) and is told of, so that somebody can say so on the object.</summary>
public readonly record struct UnreadableObject(k8s.Models.V1ObjectMeta Metadata, string Reason)
{
    public ObjectKey Key => ObjectKey.Of(Metadata);
}
