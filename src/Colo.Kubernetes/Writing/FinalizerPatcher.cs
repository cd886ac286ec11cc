using System.Text.Json.Nodes;
using k8s;

namespace Colo.Kubernetes;

/// <summary>
/// Adds and removes one finalizer by a JSON patch that holds only for the list it was made from, so that what others add or remove at
/// the same moment is never lost. Conflicts are tried again on the latest object.
/// </summary>
public sealed class FinalizerPatcher<T>(IKubernetes client, ResourceType<T> type, TimeProvider time)
{
    private const int MaxAttempts = 10;
    private static readonly TimeSpan MinBackoff = TimeSpan.FromMilliseconds(20);
    private static readonly TimeSpan MaxBackoff = TimeSpan.FromSeconds(1);

    private readonly ResourceClient<T> objects = new(client, type, time);

    /// <summary>The object with the finalizer; null where the object of <paramref name="seen"/>'s uid is gone or being deleted (nothing
    /// may be added then: no side effect either).</summary>
    public Task<Resource<T>?> AddAsync(Resource<T> seen, string finalizer, CancellationToken token) =>
        PatchAsync(seen, finalizer, isWanted: true, token);

    /// <summary>The object without the finalizer; null where it is gone.</summary>
    public Task<Resource<T>?> RemoveAsync(Resource<T> seen, string finalizer, CancellationToken token) =>
        PatchAsync(seen, finalizer, isWanted: false, token);

    private async Task<Resource<T>?> PatchAsync(Resource<T> seen, string finalizer, bool isWanted, CancellationToken token)
    {
        Backoff backoff = new(MinBackoff, MaxBackoff);
        Resource<T> latest = seen;
        for (int attempt = 1; ; attempt++)
        {
            IList<string> finalizers = latest.Metadata.Finalizers ?? [];
            if (isWanted && latest.IsBeingDeleted)
            {
                return null;
            }

            // Ours is removed by us alone, so a cache that shows it is right; one that does not may be older than the adding.
            bool isDone = finalizers.Contains(finalizer) == isWanted;
            if (isDone && (isWanted || latest != seen))
            {
                return latest;
            }

            try
            {
                if (!isDone)
                {
                    return await objects.JsonPatchAsync(latest.Key, Patch(latest, finalizers, finalizer, isWanted), null, token);
                }
            }
            catch (ApiException e) when (e.Kind == ApiErrorKind.NotFound)
            {
                return null;
            }
            catch (ApiException e) when (
                (e.Kind is ApiErrorKind.Conflict or ApiErrorKind.Invalid || e.IsTransient) && attempt < MaxAttempts)
            {
                await Task.Delay(backoff.Next(e.RetryAfter), time, token);
            }

            if (await objects.FindAsync(latest.Key, token) is not { } now || now.Uid != seen.Uid)
            {
                return null;
            }

            latest = now;
        }
    }

    private static JsonArray Patch(Resource<T> latest, IList<string> finalizers, string finalizer, bool isWanted)
    {
        JsonArray patch = [Operation("test", "/metadata/uid", latest.Uid)];
        if (finalizers.Count == 0)
        {
            // An absent list cannot be tested for: the whole object must be the one that was seen.
            patch.Add((JsonNode)Operation("test", "/metadata/resourceVersion", latest.ResourceVersion));
            patch.Add((JsonNode)Operation("add", "/metadata/finalizers", new JsonArray(finalizer)));
            return patch;
        }

        patch.Add((JsonNode)Operation("test", "/metadata/finalizers", new JsonArray([.. finalizers.Select(f => (JsonNode?)f)])));
        patch.Add((JsonNode)(isWanted
            ? Operation("add", "/metadata/finalizers/-", finalizer)
            : new JsonObject { ["op"] = "remove", ["path"] = $"/metadata/finalizers/{finalizers.IndexOf(finalizer)}" }));
        return patch;
    }

    private static JsonObject Operation(string op, string path, JsonNode value) =>
        new() { ["op"] = op, ["path"] = path, ["value"] = value };
}
