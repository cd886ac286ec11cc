using Colo.Api;

namespace Colo.Control;

/// <summary>
/// Finds the second copy another node when its own will not come back, or shall hold none. Only beside a primary that serves under the
/// record's term: then the copy that is given up is not the only one. The record is changed first, so that the copy that was left can
/// never be promoted, and it is deleted when the new one is in sync, not before.
/// </summary>
public static class Replacement
{
    /// <summary>A node object that was deleted may be registered again a moment later.</summary>
    public static readonly TimeSpan GoneGrace = TimeSpan.FromSeconds(30);

    /// <summary>Why the secondary needs another node; null: it does not, or not now.</summary>
    public static string? Due(VolumeInput input, VolumeTruth truth, ReplicaView primary, ReplicaView? secondary)
    {
        if (input.Candidates is null || !primary.IsPrimaryOf(truth.Term) || primary.Stage is not (
            ReplicaStage.Prepared or ReplicaStage.Alone or ReplicaStage.Done or ReplicaStage.Running or ReplicaStage.Syncing))
        {
            return null;
        }

        return truth.Secondary.Length == 0 ? "there is no secondary"
            : input.Facts(truth.Secondary) switch
            {
                { Excluded: true } => $"{truth.Secondary} is excluded from placement",
                null when secondary is { Answers: false } && secondary.SilentFor >= GoneGrace => $"the node {truth.Secondary} is gone",
                _ => null,
            };
    }

    /// <summary>The node of the new copy; null: there is none, and <paramref name="refusal"/> says why.</summary>
    public static string? Target(VolumeInput input, VolumeTruth truth, out string refusal)
    {
        try
        {
            refusal = "";
            return Placement.ChooseSecondary(input.Uid, input.AsMade, truth.Primary, truth.Secondary, input.Candidates!);
        }
        catch (PlacementException e)
        {
            refusal = e.Message;
            return null;
        }
    }

    /// <summary>The attached copy is let go of before the record is changed: a primary records its own secondary at the end of a copy, and
    /// would put the former one back.</summary>
    public static VolumeAction Step(VolumeTruth truth, ReplicaView primary, string target, string reason) =>
        IsAttached(primary)
            ? new VolumeAction.DetachSecondary(primary.Node, truth.Term)
            : new VolumeAction.ReplaceRecord(truth, truth with { Secondary = target, SecondaryState = SecondaryState.Syncing }, reason);

    /// <summary>The primary replicates to a node that the record no longer names; it would refuse another one beside it.</summary>
    public static bool IsMisattached(VolumeTruth truth, ReplicaView primary) =>
        IsAttached(primary) && primary.PeerNode is { } peer && peer != truth.Secondary;

    public static bool IsAttached(ReplicaView primary) => primary.Stage is ReplicaStage.Running or ReplicaStage.Syncing;

    /// <summary>What nodes other than the recorded two still hold, or are held responsible for.</summary>
    public static IEnumerable<VolumeAction> Leftovers(VolumeInput input, VolumeTruth truth) =>
        from node in input.Nodes
        where node.Answers && node.Node != truth.Primary && node.Node != truth.Secondary
        where node.Stage != ReplicaStage.Absent || input.Holders.Contains(node.Node)
        select new VolumeAction.DeleteReplica(node.Node, Math.Max(truth.Term, node.Term));
}
