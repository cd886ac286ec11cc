using System.Text.Json.Nodes;
using k8s;

namespace Colo.Kubernetes;

public enum StatusWriteOutcome
{
    /// <summary>The object says so already: nothing was sent.</summary>
    Unchanged,

    Written,

    /// <summary>The object is gone, or another one has its name.</summary>
    Gone,

    /// <summary>The spec or a field of others changed since what the caller decided on: decide again.</summary>
    Outdated,
}

/// <summary><see cref="Latest"/>: the object as the server last gave it.</summary>
public readonly record struct StatusWriteResult<T>(StatusWriteOutcome Outcome, Resource<T>? Latest);

public sealed record StatusWriterOptions
{
    /// <summary>Fields of status that others write: never in a patch, and a change of one makes the caller's decision outdated.</summary>
    public IReadOnlySet<string> ForeignFields { get; init; } = new HashSet<string>(StringComparer.Ordinal);

    public int MaxAttempts { get; init; } = 5;
}

/// <summary>
/// Writes the status subresource: a merge patch of what differs, nothing where nothing does; observedGeneration as last field; a condition
/// keeps its lastTransitionTime while its status stays. Conflicts and transient failures are tried again on the latest object.
/// </summary>
public sealed class StatusWriter<T>
{
    public StatusWriter(IKubernetes client, ResourceType<T> type, StatusWriterOptions options, TimeProvider time) =>
        throw new NotImplementedException();

    /// <summary><paramref name="desired"/> is the whole status as the type's JSON options write it, without observedGeneration and
    /// lastTransitionTimes, which are set here. Foreign fields in it are ignored; fields that it lacks are removed; conditions of types
    /// that it does not name stay.</summary>
    public Task<StatusWriteResult<T>> WriteAsync(Resource<T> seen, JsonObject desired, CancellationToken token) =>
        throw new NotImplementedException();

    /// <summary>As above, with a status object of the type's own.</summary>
    public Task<StatusWriteResult<T>> WriteAsync<TStatus>(Resource<T> seen, TStatus desired, CancellationToken token)
        where TStatus : class => throw new NotImplementedException();
}
