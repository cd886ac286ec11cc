using Colo.Api;

namespace Colo.Control;

/// <summary>
/// Spec, record and observations in; what to do next out. It keeps nothing between rounds: everything that must survive is in the
/// record, with the agents, or in the intent, so that it can die between any two actions.
/// </summary>
public static class VolumeReconciler
{
    /// <summary>How soon to look again while something is under way, and where nothing is.</summary>
    public static readonly TimeSpan Soon = TimeSpan.FromMilliseconds(100);
    public static readonly TimeSpan Calm = TimeSpan.FromMilliseconds(500);

    public static VolumePlan Plan(VolumeInput input)
    {
        if (input.Truth is not { } truth)
        {
            return Unrecorded(input);
        }

        if (input.Intent.Delete)
        {
            return Deletion.Plan(input);
        }

        VolumeCase at = VolumeCase.Of(input, truth);
        (VolumeSituation situation, ReplicaView primary, ReplicaView? secondary) = (at.Situation, at.Primary, at.Secondary);
        VolumePlan plan = situation switch
        {
            VolumeSituation.SwitchingOver => SwitchOver(truth, primary, at.Switchover!, at.Move!),
            VolumeSituation.TakingOver => TakeOver(input.Spec, truth, secondary!, at.Verdict, at.Failover),
            VolumeSituation.PrimaryLost => PrimaryLost(input.Spec, truth, primary, secondary, at.Verdict),
            VolumeSituation.PrimarySuspect => Wait(situation, at.Verdict.Reason, at.Verdict.Remaining < Calm ? at.Verdict.Remaining : Calm),
            VolumeSituation.Promoting when primary.Stage == ReplicaStage.FailoverFailed => Act(situation, $"{primary.Node} commits its buffer again",
                new VolumeAction.Promote(primary.Node, truth.Term, PromotionPoint(input))),
            VolumeSituation.Promoting when primary.Stage == ReplicaStage.Prepared && PromotionPoint(input) == RecoveryPoint.LastCheckpoint =>
                Wait(situation, $"{primary.Node} no longer holds its last checkpoint; with spec.failover.recoveryPoint LatestWrite its disk is taken as it is", Calm),
            VolumeSituation.Promoting => Act(situation, $"{primary.Node} is to serve under term {truth.Term}",
                [.. Started(primary), new VolumeAction.Promote(primary.Node, truth.Term, PromotionPoint(input))]),
            VolumeSituation.PrimaryUnprepared => PreparePrimary(truth, primary),
            VolumeSituation.PrimaryWaiting => Wait(situation, $"{primary.Node} waits for the arbiter", Soon),
            VolumeSituation.SpecInvalid => Wait(situation, at.SpecFault!, Calm),
            VolumeSituation.Replacing => Act(situation, $"{at.ReplacementReason}; the second copy moves to {at.ReplacementNode}",
                Replacement.Step(truth, primary, at.ReplacementNode!, at.ReplacementReason!)),
            VolumeSituation.Refilling => Act(situation, at.Refill!.Reason, Refill.Action(at.Refill, truth, primary, secondary!)),
            VolumeSituation.SecondaryLost => Wait(situation, SecondaryLostReason(truth, primary, secondary) + at.ReplacementRefusal, Calm),
            VolumeSituation.SecondaryUnprepared => PrepareSecondary(truth, primary, secondary!),
            VolumeSituation.SecondaryStopped => Act(situation, $"{secondary!.Node} is ready to be started{Refusal(primary)}", Connect(truth, primary, startSecondary: true)),
            VolumeSituation.Committing => Wait(situation, $"{primary.Node} commits its buffer; it serves meanwhile", Calm),
            VolumeSituation.Unattached => Act(situation, $"{primary.Node} has not joined {secondary!.Node} yet{Refusal(primary)}", Connect(truth, primary, startSecondary: false)),
            VolumeSituation.Syncing => Wait(situation, $"{secondary!.Node} is being filled{Percent(primary)}{Older(secondary)}", Calm),
            VolumeSituation.LinkBroken => Wait(situation, $"{primary.Node} has lost its connection to {secondary!.Node}", Soon),
            VolumeSituation.Protected => Protect(input, truth, primary, secondary!),
            _ => throw new InvalidOperationException($"situation {situation} cannot arise here"),
        };
        return plan with
        {
            Phase = VolumeConditions.PhaseOf(at.Underlying, truth, primary),
            Switchover = at.Move is { Asked: true } ? at.Switchover : null,
            Failover = at.Failover,
            Refill = at.Refill,
            TargetPrimary = at.Move?.Target,
            Unapplied = at.Unapplied,
        };
    }

    private static VolumePlan Unrecorded(VolumeInput input)
    {
        if (input.Intent.Delete)
        {
            return Deletion.Plan(input);
        }

        if (SpecFaults.Of(input.Spec, []) is { } fault)
        {
            return Unplaced(VolumeSituation.SpecInvalid, fault, UnappliedSpec.InvalidSpec);
        }

        if (input.Candidates is null && input.Nodes.Any(n => !n.Answers))
        {
            string silent = string.Join(", ", input.Nodes.Where(n => !n.Answers).Select(n => n.Node));
            return Wait(VolumeSituation.Unrecorded, $"waiting for {silent}", Soon) with { Phase = VolumePhase.Pending };
        }

        try
        {
            (string primary, string secondary) = input.Candidates is { } candidates
                ? Placement.Choose(input.Uid, input.Spec, candidates)
                : Placement.Choose(input.Spec.Placement, [.. input.Nodes.Select(n => n.Node)]);

            // Syncing, not InSync: nobody has compared the two replicas yet, and Syncing is never promoted.
            return Act(VolumeSituation.Unrecorded, $"{primary} becomes primary, {secondary} secondary",
                new VolumeAction.CreateRecord(new VolumeTruth(1, primary, secondary, SecondaryState.Syncing))) with { Phase = VolumePhase.Pending };
        }
        catch (PlacementException e)
        {
            return Unplaced(VolumeSituation.Unplaced, e.Message, UnappliedSpec.NoPlacement);
        }
    }

    private static VolumePlan Unplaced(VolumeSituation situation, string message, string reason) =>
        Wait(situation, message, Calm) with { Phase = VolumePhase.Pending, Unapplied = new(reason, message) };

    private static VolumePlan SwitchOver(VolumeTruth truth, ReplicaView primary, SwitchoverProgress at, PlannedMove move) => at.Step switch
    {
        SwitchoverStep.HoldWrites => Act(VolumeSituation.SwitchingOver, $"{at.Reason} ({move.Reason})",
            new VolumeAction.Checkpoint(primary.Node, truth.Term, "switchover"),
            new VolumeAction.HoldWrites(primary.Node, truth.Term)),
        SwitchoverStep.RecordSwap => Act(VolumeSituation.SwitchingOver, $"{at.Reason} ({move.Reason})",
            new VolumeAction.ReplaceRecord(truth, truth.TakenOver(), "switchover"),
            new VolumeAction.Promote(truth.Secondary, truth.Term + 1, RecoveryPoint.LatestWrite)),
        _ => throw new InvalidOperationException($"switchover step {at.Step} has no action of its own"),
    };

    private static VolumePlan TakeOver(
        ReplicatedVolumeSpec spec, VolumeTruth truth, ReplicaView secondary, PrimaryVerdict verdict, FailoverDecision? asked)
    {
        bool byRequest = asked is { Verdict: FailoverVerdict.Allowed };
        RecoveryPoint point = byRequest ? asked!.RecoveryPoint : spec.EffectiveRecoveryPoint;
        string reason = byRequest ? $"failover asked for; {asked!.Reason}" : $"{verdict.Reason}; {secondary.Node} is in sync";
        return Act(VolumeSituation.TakingOver, reason,
        [
            .. Started(secondary),
            new VolumeAction.ReplaceRecord(truth, truth.TakenOver(), reason),
            new VolumeAction.Promote(secondary.Node, truth.Term + 1, point),
        ]);
    }

    /// <summary>An agent promotes only what was started: a copy that lost its primary and began anew was not.</summary>
    private static VolumeAction[] Started(ReplicaView secondary) =>
        secondary.Stage == ReplicaStage.Prepared ? [new VolumeAction.StartSecondary(secondary.Node, secondary.Term, AsItIs: true)] : [];

    /// <summary>A faulted primary that nobody may replace is opened again, once its pool is well: the fault may have been of the moment.</summary>
    private static VolumePlan PrimaryLost(
        ReplicatedVolumeSpec spec, VolumeTruth truth, ReplicaView primary, ReplicaView? secondary, PrimaryVerdict verdict)
    {
        string reason = $"{verdict.Reason}; no failover: {FailoverPolicy.Automatic(spec, truth, secondary).Reason}";
        return verdict.Health == PrimaryHealth.Faulted && primary is { Stage: ReplicaStage.Faulted, PoolFailingFor: null }
            ? Act(VolumeSituation.PrimaryLost, reason, new VolumeAction.PreparePrimary(primary.Node, truth.Term, MustExist: true))
            : Wait(VolumeSituation.PrimaryLost, reason, Calm);
    }

    /// <summary>Only term 1 may begin with an empty replica: any later primary holds data by the record's word.</summary>
    private static VolumePlan PreparePrimary(VolumeTruth truth, ReplicaView primary)
    {
        bool mustExist = truth.Term > 1 || truth.SecondaryState is SecondaryState.InSync or SecondaryState.Stale;
        return Act(VolumeSituation.PrimaryUnprepared, $"{primary.Node} has not opened its replica",
            new VolumeAction.PreparePrimary(primary.Node, truth.Term, mustExist));
    }

    private static VolumePlan PrepareSecondary(VolumeTruth truth, ReplicaView primary, ReplicaView secondary)
    {
        VolumeAction prepare = new VolumeAction.PrepareSecondary(secondary.Node, truth.Term, primary.Node);
        string message = secondary.Stage == ReplicaStage.Faulted
            ? $"{secondary.Node}'s replica is faulted ({secondary.Error}); it is opened again"
            : $"{secondary.Node} becomes secondary of term {truth.Term}";
        return primary.Stage == ReplicaStage.FailingOver
            ? Act(VolumeSituation.SecondaryUnprepared, message, prepare)
            : Act(VolumeSituation.SecondaryUnprepared, message,
                [prepare, .. Connect(truth, primary, startSecondary: true)]);
    }

    /// <summary>The secondary before the primary, always: the primary's Start refuses otherwise.</summary>
    private static VolumeAction[] Connect(VolumeTruth truth, ReplicaView primary, bool startSecondary)
    {
        VolumeAction join = primary.Stage == ReplicaStage.Prepared
            ? new VolumeAction.StartPrimary(primary.Node, truth.Term, truth.Secondary)
            : new VolumeAction.AttachSecondary(primary.Node, truth.Term, truth.Secondary);
        return startSecondary ? [new VolumeAction.StartSecondary(truth.Secondary, truth.Term), join] : [join];
    }

    private static VolumePlan Protect(VolumeInput input, VolumeTruth truth, ReplicaView primary, ReplicaView secondary)
    {
        string? due = CheckpointSchedule.Due(input.Spec, input.Intent.Checkpoint, primary, secondary);
        string message = $"{secondary.Node} is in sync";
        VolumeAction[] actions =
        [
            .. due is null ? Array.Empty<VolumeAction>() : [new VolumeAction.Checkpoint(primary.Node, truth.Term, due)],
            .. Replacement.Leftovers(input, truth),
        ];
        return actions.Length == 0 ? Wait(VolumeSituation.Protected, message, Calm) : Act(VolumeSituation.Protected, message, actions);
    }

    /// <summary>A switchover never goes back to a checkpoint; a failover goes where it was asked to go.</summary>
    private static RecoveryPoint PromotionPoint(VolumeInput input) =>
        PlannedMoveTo(input) == input.Truth!.Primary ? RecoveryPoint.LatestWrite
        : input.Intent.Failover is { RecoveryPoint: { } asked } request && request.OfTerm == input.Truth.Term - 1 ? asked
        : input.Spec.EffectiveRecoveryPoint;

    /// <summary>As far as it can still be seen when the record was swapped already: what drained a node is not written anywhere.</summary>
    private static string? PlannedMoveTo(VolumeInput input) =>
        input.Intent.SwitchOverTo ?? (input.PrimaryNodeBefore is { } before && before != input.Spec.Placement.PrimaryNode ? input.Spec.Placement.PrimaryNode : null);

    private static string SecondaryLostReason(VolumeTruth truth, ReplicaView primary, ReplicaView? secondary) => secondary switch
    {
        null => $"{primary.Node} serves alone: there is no secondary",
        { Stage: ReplicaStage.Faulted, Answers: true } => $"{secondary.Node}'s replica is faulted: {secondary.Error}",
        { PoolFailingFor: not null, Answers: true } => $"the pool of {secondary.Node} fails its probe ({secondary.PoolFault})",
        _ => $"{secondary.Node} has been silent for {secondary.SilentFor.TotalSeconds:0.0} s; it is {truth.SecondaryState} by the record",
    };

    private static string Percent(ReplicaView primary) => primary.ResyncRatio is { } ratio ? $" ({ratio * 100:0} %)" : "";

    private static string Refusal(ReplicaView primary) => primary.AttachFailure.Length > 0 ? $"; last: {primary.AttachFailure}" : "";

    private static string Older(ReplicaView secondary) => secondary.HoldsOlder ? "; until then it keeps what it held before" : "";

    private static VolumePlan Act(VolumeSituation situation, string message, params VolumeAction[] actions) =>
        new(situation, actions, message, Soon);

    private static VolumePlan Wait(VolumeSituation situation, string message, TimeSpan recheck) =>
        new(situation, [], message, recheck);
}
