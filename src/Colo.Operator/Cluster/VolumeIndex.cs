using Colo.Api;
using Colo.Kubernetes;
using Colo.Operator.Volumes;

namespace Colo.Operator.Cluster;

/// <summary>Which volumes something concerns that happened to a node or to a replica. Safe for several threads.</summary>
public sealed class VolumeIndex
{
    private readonly Lock guard = new();
    private readonly Dictionary<string, ObjectKey> byUid = new(StringComparer.Ordinal);
    private readonly Dictionary<string, HashSet<ObjectKey>> byNode = new(StringComparer.Ordinal);
    private readonly HashSet<ObjectKey> unplaced = [];

    public void Apply(ResourceChange<ReplicatedVolume> change)
    {
        lock (guard)
        {
            if (change.Old is { } old)
            {
                Remove(old);
            }

            if (change.New is { } now)
            {
                Add(now);
            }
        }
    }

    public ObjectKey? OfUid(string uid)
    {
        lock (guard)
        {
            return byUid.TryGetValue(uid, out ObjectKey key) ? key : null;
        }
    }

    /// <summary>Volumes with a replica, a role or a finalizer there, and those that still look for nodes.</summary>
    public IReadOnlyList<ObjectKey> OfNode(string node)
    {
        lock (guard)
        {
            return [.. byNode.GetValueOrDefault(node) ?? [], .. unplaced];
        }
    }

    private void Add(Resource<ReplicatedVolume> volume)
    {
        byUid[volume.Uid] = volume.Key;
        string[] nodes = Nodes(volume.Value);
        foreach (string node in nodes)
        {
            if (!byNode.TryGetValue(node, out HashSet<ObjectKey>? keys))
            {
                byNode[node] = keys = [];
            }

            keys.Add(volume.Key);
        }

        if (nodes.Length < 2)
        {
            unplaced.Add(volume.Key);
        }
    }

    private void Remove(Resource<ReplicatedVolume> volume)
    {
        if (byUid.TryGetValue(volume.Uid, out ObjectKey key) && key == volume.Key)
        {
            byUid.Remove(volume.Uid);
        }

        unplaced.Remove(volume.Key);
        foreach (string node in Nodes(volume.Value))
        {
            if (byNode.TryGetValue(node, out HashSet<ObjectKey>? keys) && keys.Remove(volume.Key) && keys.Count == 0)
            {
                byNode.Remove(node);
            }
        }
    }

    private static string[] Nodes(ReplicatedVolume volume) =>
    [
        .. VolumeFinalizers.NodesOf(volume.Metadata.Finalizers, [])
            .Concat([volume.Status?.CurrentPrimary ?? "", volume.Status?.CurrentSecondary ?? ""])
            .Where(n => n.Length > 0)
            .Distinct(StringComparer.Ordinal),
    ];
}
