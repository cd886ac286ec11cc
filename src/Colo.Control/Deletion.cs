using Colo.Api;

namespace Colo.Control;

public enum NodeDeletionState
{
    /// <summary>Its agent answers and is asked to delete what it holds.</summary>
    Asked,

    /// <summary>Silent; may still hold a replica.</summary>
    Waiting,

    /// <summary>Silent for the grace period: the deletion goes on, and the replica's files stay there until somebody removes them.</summary>
    GivenUp,
}

public sealed record NodeDeletion(string Node, NodeDeletionState State);

/// <summary>How far a deletion has come. Finished when every action of the plan was done and nobody is waited for.</summary>
public sealed record DeletionProgress(IReadOnlyList<NodeDeletion> Nodes)
{
    public IEnumerable<string> Waiting => In(NodeDeletionState.Waiting);

    public IEnumerable<string> GivenUp => In(NodeDeletionState.GivenUp);

    private IEnumerable<string> In(NodeDeletionState state) => Nodes.Where(n => n.State == state).Select(n => n.Node);
}

/// <summary>Deletes replica by replica, the record last: whoever finds a replica can look up what it belonged to.</summary>
internal static class Deletion
{
    public static VolumePlan Plan(VolumeInput input)
    {
        DeletionProgress progress = new([.. input.Nodes.Select(n => new NodeDeletion(n.Node, StateOf(n, input.DeadNodeGrace)))]);
        List<VolumeAction> actions =
        [
            .. input.Nodes.Where(n => n.Answers).Select(n => new VolumeAction.DeleteReplica(n.Node, Math.Max(input.Truth?.Term ?? 1, n.Term))),
        ];
        if (input.Truth is not null && !progress.Waiting.Any())
        {
            actions.Add(new VolumeAction.DeleteRecord());
        }

        return new VolumePlan(VolumeSituation.Deleting, actions, Text(progress, actions.Count), VolumeReconciler.Soon)
        {
            Phase = VolumePhase.Deleting,
            Deletion = progress,
        };
    }

    private static NodeDeletionState StateOf(ReplicaView node, TimeSpan? grace) =>
        node.Answers ? NodeDeletionState.Asked
        : grace is { } bound && node.SilentFor >= bound ? NodeDeletionState.GivenUp
        : NodeDeletionState.Waiting;

    private static string Text(DeletionProgress progress, int actions)
    {
        string waiting = progress.Waiting.Any() ? $"{string.Join(", ", progress.Waiting)} still holds a replica"
            : actions > 0 ? "being deleted"
            : "nothing is left";
        return progress.GivenUp.Any() ? $"{waiting}; given up: {string.Join(", ", progress.GivenUp)}, whose files stay where they are" : waiting;
    }
}
