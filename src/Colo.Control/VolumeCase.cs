using Colo.Api;

namespace Colo.Control;

/// <summary>What is the case with a recorded volume, and what was found on the way to that: the plan is made from it.</summary>
internal sealed record VolumeCase(VolumeSituation Situation, ReplicaView Primary, ReplicaView? Secondary, PrimaryVerdict Verdict)
{
    /// <summary>Differs from <see cref="Situation"/> where an invalid spec keeps it from being acted upon: the phase stays honest.</summary>
    public VolumeSituation Underlying { get; private init; }

    public PlannedMove? Move { get; private init; }

    public SwitchoverProgress? Switchover { get; private init; }

    public FailoverDecision? Failover { get; private init; }

    public RefillProgress? Refill { get; private init; }

    public string? ReplacementReason { get; private init; }

    public string? ReplacementNode { get; private init; }

    /// <summary>Why a copy that should move does not; empty: it need not, or it does.</summary>
    public string ReplacementRefusal { get; private init; } = "";

    public string? SpecFault { get; private init; }

    public UnappliedSpec? Unapplied { get; private init; }

    public static VolumeCase Of(VolumeInput input, VolumeTruth truth)
    {
        ReplicaView primary = input.View(truth.Primary) ?? Unknown(truth.Primary);
        ReplicaView? secondary = truth.Secondary.Length == 0 ? null : input.View(truth.Secondary) ?? Unknown(truth.Secondary);
        PlannedMove? move = PlannedMove.Find(input, truth);
        SwitchoverProgress? switchover = move is null ? null : Control.Switchover.Locate(move.Target, truth, primary, secondary);
        FailoverDecision? failover = input.Intent.Failover is { } request && request.OfTerm == truth.Term
            ? FailoverPolicy.Requested(input.Spec, input.Uid, truth, secondary, request)
            : null;
        PrimaryVerdict verdict = FailureDetector.Judge(primary, secondary, input.Spec.Failover.HeartbeatTimeout);
        VolumeSituation? urgent = LocateUrgent(input.Spec, truth, primary, secondary, verdict, switchover, failover) ?? LocatePrimary(truth, primary);
        VolumeCase found = new(urgent ?? LocateSecondary(truth, primary, secondary), primary, secondary, verdict)
        {
            Move = move,
            Switchover = switchover,
            Failover = failover,
        };
        if (urgent is null)
        {
            found = found.WithChangesOfCopies(input, truth);
        }

        return found.WithSpec(input, truth);
    }

    /// <summary>Who may serve comes before everything else.</summary>
    private static VolumeSituation? LocateUrgent(
        ReplicatedVolumeSpec spec, VolumeTruth truth, ReplicaView primary, ReplicaView? secondary, PrimaryVerdict verdict,
        SwitchoverProgress? switchover, FailoverDecision? failover)
    {
        if (failover is { Verdict: FailoverVerdict.Allowed })
        {
            return VolumeSituation.TakingOver;
        }

        if (switchover is { Step: SwitchoverStep.HoldWrites or SwitchoverStep.RecordSwap })
        {
            return VolumeSituation.SwitchingOver;
        }

        return verdict.Health switch
        {
            PrimaryHealth.Suspect => VolumeSituation.PrimarySuspect,
            PrimaryHealth.Alive => null,
            _ => FailoverPolicy.Automatic(spec, truth, secondary).Verdict == FailoverVerdict.Allowed
                ? VolumeSituation.TakingOver
                : VolumeSituation.PrimaryLost,
        };
    }

    /// <summary>Null: the primary serves under the record's term.</summary>
    private static VolumeSituation? LocatePrimary(VolumeTruth truth, ReplicaView primary)
    {
        if (primary.Stage == ReplicaStage.Absent)
        {
            return VolumeSituation.PrimaryUnprepared;
        }

        if (primary.Role == ReplicaRole.Secondary)
        {
            // Only a record can have made a secondary the primary: whoever wrote it may have died before the promotion.
            return VolumeSituation.Promoting;
        }

        if (primary.Stage == ReplicaStage.WaitingArbiter)
        {
            return VolumeSituation.PrimaryWaiting;
        }

        return primary.IsPrimaryOf(truth.Term) && primary.Serves ? null : VolumeSituation.PrimaryUnprepared;
    }

    private static VolumeSituation LocateSecondary(VolumeTruth truth, ReplicaView primary, ReplicaView? secondary)
    {
        if (secondary is not { Answers: true } || secondary.PoolFailingFor is not null)
        {
            return VolumeSituation.SecondaryLost;
        }

        // One that is faulted is opened again: the fault may have been of the moment.
        if (!secondary.IsSecondaryOf(truth.Term) || secondary.Stage is ReplicaStage.Faulted or ReplicaStage.Absent or ReplicaStage.Fenced or ReplicaStage.Done)
        {
            return VolumeSituation.SecondaryUnprepared;
        }

        if (primary.Stage == ReplicaStage.FailingOver)
        {
            return VolumeSituation.Committing;
        }

        if (secondary.Stage == ReplicaStage.Prepared)
        {
            return VolumeSituation.SecondaryStopped;
        }

        if (primary is { Stage: ReplicaStage.FailoverFailed, Connected: true })
        {
            // A second copy first, then the commit again: the disk that refused it may refuse more.
            return truth.SecondaryState == SecondaryState.InSync ? VolumeSituation.Promoting : VolumeSituation.Syncing;
        }

        return primary.Stage switch
        {
            ReplicaStage.Syncing => VolumeSituation.Syncing,
            ReplicaStage.Running when !primary.Connected => VolumeSituation.LinkBroken,
            ReplicaStage.Running => truth.SecondaryState == SecondaryState.InSync ? VolumeSituation.Protected : VolumeSituation.Syncing,
            _ => VolumeSituation.Unattached,
        };
    }

    /// <summary>Beside a primary that serves: the second copy may have to go elsewhere, or be made anew.</summary>
    private VolumeCase WithChangesOfCopies(VolumeInput input, VolumeTruth truth)
    {
        if (Replacement.IsMisattached(truth, Primary))
        {
            return this with
            {
                Situation = VolumeSituation.Replacing,
                ReplacementReason = $"{Primary.Node} still replicates to {Primary.PeerNode}",
                ReplacementNode = truth.Secondary,
            };
        }

        if (Replacement.Due(input, truth, Primary, Secondary) is { } reason)
        {
            return Replacement.Target(input, truth, out string refusal) is { } target
                ? this with { Situation = VolumeSituation.Replacing, ReplacementReason = reason, ReplacementNode = target }
                : this with { ReplacementRefusal = $"; {reason}, and there is no other place: {refusal}", ReplacementReason = reason };
        }

        if (input.Intent.Resync is not { } node || Situation == VolumeSituation.Committing)
        {
            return this;
        }

        RefillProgress refill = Control.Refill.Locate(node, truth, Primary, Secondary);
        return this with { Refill = refill, Situation = refill.Step == RefillStep.Refused ? Situation : VolumeSituation.Refilling };
    }

    /// <summary>An invalid spec stops nothing that keeps the guest served, and begins nothing else.</summary>
    private VolumeCase WithSpec(VolumeInput input, VolumeTruth truth)
    {
        if (SpecFaults.Of(input.Spec, input.Nodes) is { } fault)
        {
            bool serves = Situation is VolumeSituation.TakingOver or VolumeSituation.SwitchingOver or VolumeSituation.PrimarySuspect
                or VolumeSituation.PrimaryLost or VolumeSituation.Promoting or VolumeSituation.PrimaryUnprepared or VolumeSituation.PrimaryWaiting;
            return this with
            {
                Situation = serves ? Situation : VolumeSituation.SpecInvalid,
                Underlying = Situation,
                SpecFault = fault,
                Unapplied = new(UnappliedSpec.InvalidSpec, fault),
            };
        }

        string wanted = input.Spec.Placement.PrimaryNode;
        return this with
        {
            Underlying = Situation,
            Unapplied = SpecFaults.Growth(input.Spec, input.Nodes) is { } growth ? new(UnappliedSpec.ResizeNotSupported, growth)
                : ReplacementRefusal.Length > 0 ? new(UnappliedSpec.NoPlacement, ReplacementRefusal[2..])
                : input.PrimaryNodeBefore is { } before && before != wanted && wanted.Length > 0 && wanted != truth.Primary && wanted != truth.Secondary
                    ? new(UnappliedSpec.NotAReplica, $"placement.primaryNode: {wanted} holds no copy to switch over to")
                : null,
        };
    }

    private static ReplicaView Unknown(string node) => new(node, TimeSpan.MaxValue);
}
