using Colo.Api;

namespace Colo.Control;

/// <summary>Which nodes cannot hold a replica of a volume, and why; nodes with the same reason are named together.</summary>
internal sealed class NodeRefusals
{
    /// <summary>A node is its own domain of this label, whether it carries it or not.</summary>
    private const string HostnameLabel = "kubernetes.io/hostname";

    /// <summary>An Event and a condition hold a kilobyte; beyond that a count says as much.</summary>
    private const int MostNames = 10;

    private readonly SortedDictionary<string, List<string>> nodesOf = new(StringComparer.Ordinal);

    public int Count => nodesOf.Values.Sum(n => n.Count);

    /// <summary>The value of the label that replicas are spread over; null: the node has none.</summary>
    public static string? Domain(NodeFacts node, string topologyKey) =>
        node.Label(topologyKey) ?? (topologyKey == HostnameLabel ? node.Name : null);

    public bool Admits(NodeFacts node, ReplicatedVolumeSpec spec)
    {
        if (Reason(node, spec) is not { } reason)
        {
            return true;
        }

        if (!nodesOf.TryGetValue(reason, out List<string>? nodes))
        {
            nodesOf[reason] = nodes = [];
        }

        nodes.Add(node.Name);
        return false;
    }

    public override string ToString() => string.Join("; ", nodesOf.Select(r => $"{Names(r.Value)}: {r.Key}"));

    private static string? Reason(NodeFacts node, ReplicatedVolumeSpec spec)
    {
        PlacementSpec placement = spec.Placement;
        string[] missing = [.. placement.NodeSelector.Where(s => node.Label(s.Key) != s.Value).Select(s => $"{s.Key}={s.Value}")];
        if (missing.Length > 0)
        {
            return $"without {string.Join(", ", missing.Order(StringComparer.Ordinal))} of placement.nodeSelector";
        }

        if (node.Excluded)
        {
            return "excluded from placement";
        }

        if (!node.Schedulable)
        {
            return "cordoned";
        }

        if (!node.AgentAnswers)
        {
            return "its agent does not answer";
        }

        if (Domain(node, placement.TopologyKey) is null)
        {
            return $"without the label {placement.TopologyKey} of placement.topologyKey";
        }

        if (!node.Pools.TryGetValue(spec.StoragePool, out PoolFacts? pool))
        {
            return $"has no storage pool '{spec.StoragePool}'";
        }

        return !pool.Healthy ? $"its storage pool '{spec.StoragePool}' fails its probe"
            : pool.FreeBytes < spec.Size.Bytes ? $"less than {spec.Size} left in storage pool '{spec.StoragePool}'"
            : null;
    }

    private static string Names(List<string> nodes)
    {
        nodes.Sort(StringComparer.Ordinal);
        return nodes.Count <= MostNames
            ? string.Join(", ", nodes)
            : $"{string.Join(", ", nodes.Take(MostNames))} and {nodes.Count - MostNames} more";
    }
}
