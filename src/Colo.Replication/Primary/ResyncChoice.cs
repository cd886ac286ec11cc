using Colo.Blocks;

namespace Colo.Replication;

/// <summary>What an attach has to do.</summary>
/// <param name="Mode">None, Recopy, Bitmap or Full.</param>
/// <param name="Plan">The same for the lineage.</param>
/// <param name="Peer">What the secondary shows; null where it keeps no lineage.</param>
/// <param name="Unsure">Recopy: what may differ; null: anything may.</param>
internal sealed record ResyncDecision(ResyncMode Mode, AttachPlan Plan, LineageReport? Peer, IReadOnlyList<int>? Unsure = null);

/// <summary>Decides how a secondary is brought in sync: by what was asked, the record, and the lineages of both.</summary>
internal sealed class ResyncChoice(
    PrimaryReplicaOptions options, RecordKeeper records, ServeSwitch serve, Divergence divergence, ReplicaLineage? lineage)
{
    private const string NeedsFullResync = "writes were acknowledged without the secondary: a full resync is needed";

    /// <exception cref="ReplicationException">it is refused.</exception>
    public async Task<ResyncDecision> DecideAsync(IReplicationLink link, ResyncMode asked, CancellationToken token)
    {
        LineageReport? peer = lineage is null ? null : await link.ReadLineageAsync(token);
        bool waits = serve.State == ServeState.Waiting;
        VolumeRecord record = records.Current!;
        bool isItsSecondary = record.SecondaryState == SecondaryState.InSync && record.Secondary == link.PeerNode;
        switch (asked)
        {
            case ResyncMode.None when waits && !isItsSecondary:
                throw Refused($"{link.PeerNode} is not the secondary of {record}");
            case ResyncMode.None:
                RequireNothingWritten();
                return new(asked, waits ? AttachPlan.Rejoin : AttachPlan.Equal, peer);
            case ResyncMode.Recopy when !waits || !isItsSecondary:
                throw Refused($"a re-copy needs a secondary that is in sync by the record, which is {record}");
            case ResyncMode.Recopy:
                return new(asked, AttachPlan.Rejoin, peer);
            case ResyncMode.Full:
                return new(asked, AttachPlan.Full, peer);
            default:
                ResyncDecision decision = ByLineage(link, peer, waits && isItsSecondary);
                return asked == ResyncMode.Auto || decision.Plan == AttachPlan.Rejoin
                    ? decision
                    : throw new ReplicationException(
                        ReplicationFault.NeedsResync, $"{link.PeerNode} is not in sync as the record says: a {decision.Mode} resync is needed");
        }
    }

    /// <summary>Asked again when no write is under way any more.</summary>
    public void RequireNothingWritten()
    {
        if (divergence.HasWrittenAlone || lineage is { IsTracking: true, DirtyBytes: > 0 })
        {
            throw Refused(NeedsFullResync);
        }
    }

    private ResyncDecision ByLineage(IReplicationLink link, LineageReport? peer, bool isRecordedInSync)
    {
        if (lineage is null || peer is null)
        {
            throw Refused($"{(lineage is null ? options.Node : link.PeerNode)} keeps no lineage: say that nothing, or everything, is to be copied");
        }

        LineageRecord own = lineage.Record;
        if (own.PeerNode == link.PeerNode && peer.Record.Writes < own.PeerWrites && !peer.Record.Current.IsNone)
        {
            throw new ReplicationException(
                ReplicationFault.Unrelated,
                $"the state of {link.PeerNode} is at write {peer.Record.Writes}, and had been at {own.PeerWrites}: an old copy was put back");
        }

        LineageDecision found = LineageComparison.Compare(own, peer.Record);
        bool lostWrites = peer.Record.Life != own.PeerLife;
        return found.Verdict switch
        {
            LineageVerdict.Unrelated => throw new ReplicationException(ReplicationFault.Unrelated, $"{link.PeerNode} is refused: {found.Reason}"),
            LineageVerdict.Full => new(ResyncMode.Full, AttachPlan.Full, peer),
            LineageVerdict.Same when isRecordedInSync && !lostWrites =>
                new(own.Suspects.Count == 0 ? ResyncMode.None : ResyncMode.Recopy, AttachPlan.Rejoin, peer, own.Suspects),

            // The map begins at the attach; where writes go on alone meanwhile, it must have begun before them.
            _ when own.Base.IsNone && serve.State != ServeState.Waiting => new(ResyncMode.Full, AttachPlan.Full, peer),
            _ => new(ResyncMode.Bitmap, AttachPlan.Bitmap, peer),
        };
    }

    private static ReplicationException Refused(string message) => new(ReplicationFault.WrongState, message);
}
