using Colo.Api;

namespace Colo.Control;

/// <summary>Everything that a decision is made from. No clock, no I/O: the same input gives the same plan.</summary>
/// <param name="Uid">The volume's UID.</param>
/// <param name="Truth">The record; null where there is none yet.</param>
/// <param name="Nodes">One view a node that has, or may have, to do with the volume; where there are no candidates: all nodes, in order of
/// preference for a first placement.</param>
public sealed record VolumeInput(
    string Uid, ReplicatedVolumeSpec Spec, VolumeTruth? Truth, IReadOnlyList<ReplicaView> Nodes, VolumeIntent Intent)
{
    /// <summary>All nodes of the cluster, as just listed; null: the nodes are those that have views, and none comes or goes. A node that is
    /// missing here is taken for removed, so this must not be given before the list is complete.</summary>
    public IReadOnlyList<NodeFacts>? Candidates { get; init; }

    /// <summary>Nodes that are held responsible for a replica, whatever their agents say: they are asked to delete it.</summary>
    public IReadOnlyCollection<string> Holders { get; init; } = [];

    /// <summary>spec.placement.primaryNode as it was when it was last complied with; null: unknown.</summary>
    public string? PrimaryNodeBefore { get; init; }

    /// <summary>For how long a node must have been silent before a deletion goes on without it; null: for ever.</summary>
    public TimeSpan? DeadNodeGrace { get; init; }

    /// <summary>The spec with the size that the replicas have, where they have one.</summary>
    public ReplicatedVolumeSpec AsMade =>
        Nodes.FirstOrDefault(n => n.SizeBytes > 0) is { } made ? Spec with { Size = new ByteQuantity(made.SizeBytes) } : Spec;

    public ReplicaView? View(string node) => Nodes.FirstOrDefault(n => n.Node == node);

    public NodeFacts? Facts(string node) => Candidates?.FirstOrDefault(n => n.Name == node);
}
