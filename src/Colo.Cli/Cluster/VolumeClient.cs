using System.Runtime.CompilerServices;
using System.Text.Json.Nodes;
using Colo.Api;
using k8s;
using k8s.Autorest;
using k8s.Models;

namespace Colo.Cli.Cluster;

/// <summary>One change of a volume as the watch told it; Gone: it was deleted.</summary>
internal sealed record VolumeChange(ClusterVolume Volume, bool Gone);

/// <summary>ReplicatedVolumes of one cluster. Failures come as <see cref="CommandException"/>s, in one sentence each.</summary>
internal sealed class VolumeClient(ClusterConnection cluster)
{
    public const string Plural = "replicatedvolumes";

    private readonly ICustomObjectsOperations objects = cluster.Client.CustomObjects;

    public ClusterConnection Cluster => cluster;

    /// <returns>Null: there is none.</returns>
    public async Task<ClusterVolume?> TryGetAsync(string @namespace, string name, CancellationToken token)
    {
        try
        {
            return new ClusterVolume(await objects.GetNamespacedCustomObjectAsync<JsonObject>(
                ReplicatedVolume.Group, ReplicatedVolume.Version, @namespace, Plural, name, token));
        }
        catch (HttpOperationException e) when (ClusterFault.IsNotFound(e))
        {
            return null;
        }
        catch (Exception e) when (ClusterFault.Explain(e, cluster, token) is { } explained)
        {
            throw explained;
        }
    }

    /// <param name="namespace">Null: all of them.</param>
    /// <returns>In the order of namespace and name, and the resource version to watch from.</returns>
    public async Task<(IReadOnlyList<ClusterVolume> Volumes, string ResourceVersion)> ListAsync(string? @namespace, CancellationToken token)
    {
        try
        {
            JsonObject list = @namespace is null
                ? await objects.ListCustomObjectForAllNamespacesAsync<JsonObject>(
                    ReplicatedVolume.Group, ReplicatedVolume.Version, Plural, cancellationToken: token)
                : await objects.ListNamespacedCustomObjectAsync<JsonObject>(
                    ReplicatedVolume.Group, ReplicatedVolume.Version, @namespace, Plural, cancellationToken: token);
            IEnumerable<ClusterVolume> volumes = (list["items"] as JsonArray ?? []).OfType<JsonObject>().Select(o => new ClusterVolume(o));
            return ([.. volumes.OrderBy(v => v.Namespace, StringComparer.Ordinal).ThenBy(v => v.Name, StringComparer.Ordinal)],
                list["metadata"]?["resourceVersion"]?.GetValue<string>() ?? "");
        }
        catch (Exception e) when (ClusterFault.Explain(e, cluster, token) is { } explained)
        {
            throw explained;
        }
    }

    public async Task<ClusterVolume> PatchAsync(ClusterVolume volume, JsonObject mergePatch, CancellationToken token)
    {
        try
        {
            return new ClusterVolume(await objects.PatchNamespacedCustomObjectAsync<JsonObject>(
                new V1Patch(mergePatch.ToJsonString(), V1Patch.PatchType.MergePatch),
                ReplicatedVolume.Group, ReplicatedVolume.Version, volume.Namespace, Plural, volume.Name, cancellationToken: token));
        }
        catch (Exception e) when (ClusterFault.Explain(e, cluster, token) is { } explained)
        {
            throw explained;
        }
    }

    /// <summary>What happens after <paramref name="resourceVersion"/>, until the server ends the stream, which it does every few minutes.</summary>
    /// <param name="namespace">Null: all of them.</param>
    /// <param name="name">Null: all of them.</param>
    public async IAsyncEnumerable<VolumeChange> WatchAsync(
        string? @namespace, string? name, string resourceVersion, [EnumeratorCancellation] CancellationToken token)
    {
        string? selector = name is null ? null : $"metadata.name={name}";
        Task<HttpOperationResponse<object>> response = @namespace is null
            ? objects.ListCustomObjectForAllNamespacesWithHttpMessagesAsync<object>(
                ReplicatedVolume.Group, ReplicatedVolume.Version, Plural, fieldSelector: selector, resourceVersion: resourceVersion, watch: true, cancellationToken: token)
            : objects.ListNamespacedCustomObjectWithHttpMessagesAsync<object>(
                ReplicatedVolume.Group, ReplicatedVolume.Version, @namespace, Plural, fieldSelector: selector, resourceVersion: resourceVersion, watch: true, cancellationToken: token);
        await using IAsyncEnumerator<(WatchEventType Type, JsonObject Item)> stream =
            response.WatchAsync<JsonObject, object>(cancellationToken: token).GetAsyncEnumerator(token);
        while (true)
        {
            try
            {
                if (!await stream.MoveNextAsync())
                {
                    yield break;
                }
            }
            catch (Exception e) when (ClusterFault.Explain(e, cluster, token) is { } explained)
            {
                throw explained;
            }

            if (stream.Current.Type is WatchEventType.Added or WatchEventType.Modified or WatchEventType.Deleted)
            {
                yield return new VolumeChange(new ClusterVolume(stream.Current.Item), stream.Current.Type == WatchEventType.Deleted);
            }
        }
    }
}
