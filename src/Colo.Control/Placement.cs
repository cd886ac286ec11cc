using Colo.Api;

namespace Colo.Control;

/// <summary>Chooses the nodes of a volume. The same facts and UID give the same answer.</summary>
public static class Placement
{
    /// <summary>Nodes of one rack or zone fail together: of nodes that differ in <see cref="PlacementSpec.TopologyKey"/>, those of different
    /// zones are preferred.</summary>
    public const string ZoneLabel = "topology.kubernetes.io/zone";

    /// <summary>Of nodes of which nothing but the name is known: the control plane of one machine.</summary>
    /// <param name="nodes">Candidates in order of preference.</param>
    /// <exception cref="PlacementException">the spec names a node that is none of them, or there are fewer than two.</exception>
    public static (string Primary, string Secondary) Choose(PlacementSpec placement, IReadOnlyList<string> nodes)
    {
        Known(placement.PrimaryNode, "placement.primaryNode", nodes);
        Known(placement.SecondaryNode, "placement.secondaryNode", nodes);
        string? primary = placement.PrimaryNode.Length > 0
            ? placement.PrimaryNode
            : nodes.FirstOrDefault(n => n != placement.SecondaryNode);
        string? secondary = placement.SecondaryNode.Length > 0
            ? placement.SecondaryNode
            : nodes.FirstOrDefault(n => n != primary);
        return primary is null || secondary is null || primary == secondary
            ? throw new PlacementException($"two different nodes are needed; there are: {string.Join(", ", nodes)}")
            : (primary, secondary);
    }

    /// <param name="nodes">All nodes of the cluster, in any order.</param>
    /// <exception cref="PlacementException">there are no two nodes; the message names each node and why it was refused.</exception>
    public static (string Primary, string Secondary) Choose(string uid, ReplicatedVolumeSpec spec, IReadOnlyList<NodeFacts> nodes)
    {
        string[] names = [.. nodes.Select(n => n.Name)];
        Known(spec.Placement.PrimaryNode, "placement.primaryNode", names);
        Known(spec.Placement.SecondaryNode, "placement.secondaryNode", names);
        NodeRefusals refusals = new();
        List<NodeFacts> usable = [.. nodes.Where(n => refusals.Admits(n, spec))];

        // A primary that leaves a secondary no place is no choice, however well it fits itself.
        foreach (NodeFacts primary in usable
            .OrderByDescending(n => n.Name == spec.Placement.PrimaryNode)
            .ThenBy(n => n.Name == spec.Placement.SecondaryNode)
            .ThenBy(n => n.Primaries)
            .ThenBy(n => n.Secondaries)
            .ThenBy(n => Lot(uid, n.Name)))
        {
            if (BestSecondary(uid, spec, primary, usable) is { } secondary)
            {
                return (primary.Name, secondary.Name);
            }
        }

        throw new PlacementException(Text("two nodes are needed", spec, refusals, usable, nodes.Count));
    }

    /// <summary>A place for the second copy of a volume that a primary serves.</summary>
    /// <param name="leaving">The node that the copy leaves; null: there was none.</param>
    /// <exception cref="PlacementException">there is none; the message names each node and why it was refused.</exception>
    public static string ChooseSecondary(string uid, ReplicatedVolumeSpec spec, string primary, string? leaving, IReadOnlyList<NodeFacts> nodes)
    {
        NodeRefusals refusals = new();
        NodeFacts serving = nodes.FirstOrDefault(n => n.Name == primary) ?? new NodeFacts(primary);
        List<NodeFacts> usable = [.. nodes.Where(n => n.Name != primary && n.Name != leaving && refusals.Admits(n, spec))];
        return BestSecondary(uid, spec, serving, usable)?.Name
            ?? throw new PlacementException(Text(
                $"a place for the second copy beside {primary} is needed", spec, refusals, [.. usable, serving],
                nodes.Count(n => n.Name != primary && n.Name != leaving)));
    }

    private static NodeFacts? BestSecondary(string uid, ReplicatedVolumeSpec spec, NodeFacts primary, IEnumerable<NodeFacts> usable)
    {
        string key = spec.Placement.TopologyKey;
        return usable
            .Where(n => n.Name != primary.Name && NodeRefusals.Domain(n, key) != NodeRefusals.Domain(primary, key))
            .OrderByDescending(n => n.Name == spec.Placement.SecondaryNode)
            .ThenByDescending(n => n.Label(ZoneLabel) != primary.Label(ZoneLabel))
            .ThenBy(n => n.Primaries + n.Secondaries)
            .ThenByDescending(n => n.Pools.GetValueOrDefault(spec.StoragePool)?.FreeBytes ?? 0)
            .ThenBy(n => Lot(uid, n.Name))
            .FirstOrDefault();
    }

    /// <summary>Among equals, each volume draws its own: many volumes made at once do not all land on the node that sorts first.</summary>
    private static uint Lot(string uid, string node)
    {
        // FNV-1a: the same in each process, unlike string.GetHashCode.
        uint hash = 2166136261;
        foreach (char c in uid.AsSpan())
        {
            hash = (hash ^ c) * 16777619;
        }

        foreach (char c in node.AsSpan())
        {
            hash = (hash ^ c) * 16777619;
        }

        // Names of nodes differ in their last characters; these two steps carry that difference into the high bits, which decide an order.
        hash = (hash ^ (hash >> 16)) * 0x85ebca6b;
        hash = (hash ^ (hash >> 13)) * 0xc2b2ae35;
        return hash ^ (hash >> 16);
    }

    private static string Text(string needed, ReplicatedVolumeSpec spec, NodeRefusals refusals, IReadOnlyList<NodeFacts> usable, int count)
    {
        string text = $"{needed}; of {count} nodes {refusals.Count} cannot be used";
        string same = usable.Count switch
        {
            0 => "",
            1 => $"; {usable[0].Name} alone is left",
            _ => $"; {string.Join(", ", usable.Select(n => n.Name).Order(StringComparer.Ordinal))} all have {spec.Placement.TopologyKey}=" +
                $"{NodeRefusals.Domain(usable[0], spec.Placement.TopologyKey)}",
        };
        return text + (refusals.Count > 0 ? $": {refusals}" : "") + same;
    }

    private static void Known(string node, string field, IReadOnlyList<string> nodes)
    {
        if (node.Length > 0 && !nodes.Contains(node))
        {
            throw new PlacementException($"{field}: '{node}' is not one of {string.Join(", ", nodes)}");
        }
    }
}

public sealed class PlacementException(string message) : Exception(message);
