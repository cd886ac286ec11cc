using Colo.Api;

namespace Colo.Control;

/// <summary>Chooses the first primary and secondary of a volume from the nodes there are.</summary>
public static class Placement
{
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

    private static void Known(string node, string field, IReadOnlyList<string> nodes)
    {
        if (node.Length > 0 && !nodes.Contains(node))
        {
            throw new PlacementException($"{field}: '{node}' is not one of {string.Join(", ", nodes)}");
        }
    }
}

public sealed class PlacementException(string message) : Exception(message);
