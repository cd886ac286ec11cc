using k8s;

namespace Colo.Kubernetes;

/// <summary>
/// Adds and removes one finalizer by a JSON patch that holds only for the list it was made from, so that what others add or remove at
/// the same moment is never lost. Conflicts are tried again on the latest object.
/// </summary>
public sealed class FinalizerPatcher<T>
{
    public FinalizerPatcher(IKubernetes client, ResourceType<T> type, TimeProvider time) => throw new NotImplementedException();

    /// <summary>The object with the finalizer; null where the object of <paramref name="seen"/>'s uid is gone or being deleted (nothing
    /// may be added then: no side effect either).</summary>
    public Task<Resource<T>?> AddAsync(Resource<T> seen, string finalizer, CancellationToken token) => throw new NotImplementedException();

    /// <summary>The object without the finalizer; null where it is gone.</summary>
    public Task<Resource<T>?> RemoveAsync(Resource<T> seen, string finalizer, CancellationToken token) =>
        throw new NotImplementedException();
}
