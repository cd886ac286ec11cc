using Colo.Api;

namespace Colo.Control;

public enum RefillStep
{
    /// <summary>It cannot begin; nothing was changed.</summary>
    Refused,

    /// <summary>The primary lets go of the copy: recorded as Stale, it can no longer be promoted.</summary>
    Detach,

    /// <summary>The copy is deleted; what follows is the filling of any new secondary.</summary>
    Drop,
}

public sealed record RefillProgress(RefillStep Step, string Reason);

/// <summary>A person distrusts a node's copy and wants it made anew. A copy that the record calls InSync is never deleted: it is let go of
/// first.</summary>
internal static class Refill
{
    /// <summary>Asked for only while the primary serves under the record's term.</summary>
    public static RefillProgress Locate(string node, VolumeTruth truth, ReplicaView primary, ReplicaView? secondary)
    {
        if (node == truth.Primary)
        {
            return Refused($"{node} is the primary: switch over to {truth.Secondary} first");
        }

        if (node != truth.Secondary || secondary is null)
        {
            return Refused($"{node} is not the secondary of this volume");
        }

        if (!secondary.Answers)
        {
            return Refused($"{node} does not answer");
        }

        return Replacement.IsAttached(primary) || truth.SecondaryState == SecondaryState.InSync
            ? new(RefillStep.Detach, $"{primary.Node} lets go of {node}, whose copy is to be made anew")
            : new(RefillStep.Drop, $"{node}'s copy is dropped; it is filled anew");
    }

    public static VolumeAction Action(RefillProgress at, VolumeTruth truth, ReplicaView primary, ReplicaView secondary) => at.Step switch
    {
        RefillStep.Detach => new VolumeAction.DetachSecondary(primary.Node, truth.Term),
        RefillStep.Drop => new VolumeAction.DeleteReplica(secondary.Node, Math.Max(truth.Term, secondary.Term)),
        _ => throw new InvalidOperationException($"step {at.Step} has no action"),
    };

    private static RefillProgress Refused(string reason) => new(RefillStep.Refused, reason);
}
