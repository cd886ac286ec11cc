using System.Text.Json;
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
/// keeps its lastTransitionTime while its status stays. Each patch holds only for the version it was made from; conflicts and transient
/// failures are tried again on the latest object.
/// </summary>
public sealed class StatusWriter<T>(IKubernetes client, ResourceType<T> type, StatusWriterOptions options, TimeProvider time)
{
    private static readonly TimeSpan MinBackoff = TimeSpan.FromMilliseconds(50);
    private static readonly TimeSpan MaxBackoff = TimeSpan.FromSeconds(2);

    private readonly ResourceClient<T> objects = new(client, type, time);

    /// <summary>As below, with a status object of the type's own.</summary>
    public Task<StatusWriteResult<T>> WriteAsync<TStatus>(Resource<T> seen, TStatus desired, CancellationToken token)
        where TStatus : class =>
        WriteAsync(seen, (desired as JsonObject) ?? JsonSerializer.SerializeToNode(desired, type.JsonOptions)!.AsObject(), token);

    /// <summary><paramref name="desired"/> is the whole status as the type's JSON options write it, without observedGeneration and
    /// lastTransitionTimes, which are set here. Foreign fields in it are ignored; fields that it lacks are removed; conditions of types
    /// that it does not name stay. Throws <see cref="ApiException"/> where the server refuses, or does not answer in all attempts.</summary>
    public async Task<StatusWriteResult<T>> WriteAsync(Resource<T> seen, JsonObject desired, CancellationToken token)
    {
        Backoff backoff = new(MinBackoff, MaxBackoff);
        Resource<T> latest = seen;
        for (int attempt = 1; ; attempt++)
        {
            JsonObject patch = StatusPatch.Make(
                StatusOf(latest), desired, latest.Metadata.Generation ?? 0, options.ForeignFields, time.GetUtcNow());
            if (patch.Count == 0)
            {
                return new StatusWriteResult<T>(StatusWriteOutcome.Unchanged, latest);
            }

            try
            {
                Resource<T> written = await objects.MergePatchAsync(latest.Key, Document(latest, patch), "status", token);
                return new StatusWriteResult<T>(StatusWriteOutcome.Written, written);
            }
            catch (ApiException e) when (e.Kind == ApiErrorKind.NotFound)
            {
                return new StatusWriteResult<T>(StatusWriteOutcome.Gone, null);
            }
            catch (ApiException e) when (e.IsTransient && attempt < options.MaxAttempts)
            {
                // Whether it took effect is not known; the version that it names makes the repetition safe.
                await Task.Delay(backoff.Next(e.RetryAfter), time, token);
                continue;
            }
            catch (ApiException e) when (e.Kind == ApiErrorKind.Conflict && attempt < options.MaxAttempts)
            {
                await Task.Delay(backoff.Next(), time, token);
            }

            if (await objects.FindAsync(latest.Key, token) is not { } now || now.Uid != seen.Uid)
            {
                return new StatusWriteResult<T>(StatusWriteOutcome.Gone, null);
            }

            if (IsOutdated(seen, now))
            {
                return new StatusWriteResult<T>(StatusWriteOutcome.Outdated, now);
            }

            latest = now;
        }
    }

    private bool IsOutdated(Resource<T> seen, Resource<T> now)
    {
        if (seen.Metadata.Generation != now.Metadata.Generation)
        {
            return true;
        }

        JsonObject before = StatusOf(seen);
        JsonObject after = StatusOf(now);
        return options.ForeignFields.Any(field => !JsonNode.DeepEquals(before[field], after[field]));
    }

    private JsonObject StatusOf(Resource<T> resource) =>
        JsonSerializer.SerializeToNode(resource.Value, type.JsonOptions)?["status"] is JsonObject status ? status.DeepClone().AsObject() : [];

    private static JsonObject Document(Resource<T> latest, JsonObject patch) => new()
    {
        ["metadata"] = new JsonObject { ["resourceVersion"] = latest.ResourceVersion },
        ["status"] = patch,
    };
}
