using Colo.Api;

namespace Colo.Control;

/// <summary>
/// One thing to do. A plan's actions are done in their order; the first that fails ends the round, and the next round is planned
/// from what is then observed. Each may be repeated without harm.
/// </summary>
public abstract record VolumeAction
{
    private protected VolumeAction()
    {
    }

    /// <summary>Writes the first record, if there is still none.</summary>
    public sealed record CreateRecord(VolumeTruth Truth) : VolumeAction;

    /// <summary>Compare-and-swap: only while the record still is <paramref name="Expected"/>.</summary>
    public sealed record ReplaceRecord(VolumeTruth Expected, VolumeTruth Next, string Reason) : VolumeAction;

    /// <param name="MustExist">The record says that this node holds data: an empty new replica in its place would be loss.</param>
    public sealed record PreparePrimary(string Node, long Term, bool MustExist) : VolumeAction;

    public sealed record PrepareSecondary(string Node, long Term, string PrimaryNode) : VolumeAction;

    /// <param name="AsItIs">No copy follows: the replica is to be promoted with what it holds. Otherwise its primary will fill it.</param>
    public sealed record StartSecondary(string Node, long Term, bool AsItIs = false) : VolumeAction;

    public sealed record StartPrimary(string Node, long Term, string SecondaryNode) : VolumeAction;

    /// <summary>The primary connects to a started secondary and brings it in sync; how much is copied the primary knows best.</summary>
    public sealed record AttachSecondary(string Node, long Term, string SecondaryNode) : VolumeAction;

    /// <summary>The primary lets go of its secondary: Stale is recorded before it acknowledges another write.</summary>
    public sealed record DetachSecondary(string Node, long Term) : VolumeAction;

    public sealed record Checkpoint(string Node, long Term, string Reason) : VolumeAction;

    /// <summary>The record already names this node and term.</summary>
    public sealed record Promote(string Node, long Term, RecoveryPoint RecoveryPoint) : VolumeAction;

    /// <summary>Stops serving: no write is acknowledged from here on, and every one that was is on both replicas.</summary>
    public sealed record HoldWrites(string Node, long Term) : VolumeAction;

    public sealed record DeleteReplica(string Node, long Term) : VolumeAction;

    public sealed record DeleteRecord : VolumeAction;
}
