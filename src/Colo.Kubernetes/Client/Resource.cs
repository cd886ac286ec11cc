using k8s.Models;

namespace Colo.Kubernetes;

/// <summary>
/// An object as the API server gave it at one resource version. Shared by all who read the cache: nobody changes it.
/// <paramref name="metadata"/> is parsed apart from <paramref name="value"/>, without managedFields (most of an object's bytes, and of no
/// use to a controller).
/// </summary>
public sealed class Resource<T>(V1ObjectMeta metadata, T value)
{
    public V1ObjectMeta Metadata { get; } = metadata;

    public T Value { get; } = value;

    public ObjectKey Key { get; } = ObjectKey.Of(metadata);

    public string Uid => Metadata.Uid ?? string.Empty;

    public string ResourceVersion => Metadata.ResourceVersion ?? string.Empty;

    public bool IsBeingDeleted => Metadata.DeletionTimestamp is not null;
}

/// <summary>A whole list, all of one resource version.</summary>
public sealed record ResourceList<T>(IReadOnlyList<Resource<T>> Items, string ResourceVersion)
{
    /// <summary>Objects that the server holds and that are no <typeparamref name="T"/>.</summary>
    public IReadOnlyList<UnreadableObject> Unreadable { get; init; } = [];
}
