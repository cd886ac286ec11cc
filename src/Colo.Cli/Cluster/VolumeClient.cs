using System.Text.Json.Nodes;
using Colo.Api;
using Colo.Kubernetes;
using Microsoft.Extensions.Logging.Abstractions;

namespace Colo.Cli.Cluster;

/// <summary>ReplicatedVolumes of one cluster. Failures come as <see cref="CommandException"/>s, in one sentence each.</summary>
internal sealed class VolumeClient
{
    public const string Plural = "replicatedvolumes";

    /// <summary>Read as they are: what is printed for programs is the API server's own document, and one object that we cannot read
    /// does not hide the others.</summary>
    private static readonly ResourceType<JsonObject> Type = new(ReplicatedVolume.Group, ReplicatedVolume.Version, Plural) { Kind = ReplicatedVolume.KindName };

    private readonly ResourceClient<JsonObject> resources;

    public VolumeClient(ClusterConnection cluster)
    {
        Cluster = cluster;
        resources = new ResourceClient<JsonObject>(cluster.Client, Type) { RequestTimeout = cluster.Timeout };
    }

    public ClusterConnection Cluster { get; }

    /// <returns>Null: there is none.</returns>
    public Task<ClusterVolume?> FindAsync(string @namespace, string name, CancellationToken token) => ClusterFault.ExplainedAsync(Cluster, async () =>
        await resources.FindAsync(new ObjectKey(@namespace, name), token) is { } found ? new ClusterVolume(found) : null);

    /// <param name="namespace">Null: all of them.</param>
    /// <returns>In the order of namespace and name.</returns>
    public Task<IReadOnlyList<ClusterVolume>> ListAsync(string? @namespace, CancellationToken token) => ClusterFault.ExplainedAsync(Cluster, async () =>
        Sorted((await resources.ListAsync(new ListOptions { Namespace = @namespace }, token)).Items));

    public Task<ClusterVolume> PatchAsync(ClusterVolume volume, JsonObject mergePatch, CancellationToken token) => ClusterFault.ExplainedAsync(Cluster, async () =>
        new ClusterVolume(await resources.MergePatchAsync(new ObjectKey(volume.Namespace, volume.Name), mergePatch, subresource: null, token)));

    /// <summary>Follows them from list and watch; not running yet.</summary>
    /// <param name="namespace">Null: all of them.</param>
    /// <param name="name">Null: all of them.</param>
    public Informer<JsonObject> Follow(string? @namespace, string? name) => new(
        Cluster.Client,
        Type,
        new InformerOptions { Namespace = @namespace, FieldSelector = name is null ? null : $"metadata.name={name}", MaxBackoff = TimeSpan.FromSeconds(2) },
        TimeProvider.System,
        NullLogger.Instance);

    public static IReadOnlyList<ClusterVolume> Sorted(IEnumerable<Resource<JsonObject>> resources) =>
        [.. resources.Select(r => new ClusterVolume(r)).OrderBy(v => v.Namespace, StringComparer.Ordinal).ThenBy(v => v.Name, StringComparer.Ordinal)];
}
