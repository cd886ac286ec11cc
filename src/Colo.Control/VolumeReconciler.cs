using Colo.Api;

namespace Colo.Control;

/// <summary>Everything that a decision is made from. No clock, no I/O: the same input gives the same plan.</summary>
/// <param name="Uid">The volume's UID.</param>
/// <param name="Truth">The record; null where there is none yet.</param>
/// <param name="Nodes">One view a node, in order of preference for a first placement.</param>
public sealed record VolumeInput(
    string Uid, ReplicatedVolumeSpec Spec, VolumeTruth? Truth, IReadOnlyList<ReplicaView> Nodes, VolumeIntent Intent)
{
    public ReplicaView? View(string node) => Nodes.FirstOrDefault(n => n.Node == node);
}

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

        ReplicaView primary = input.View(truth.Primary) ?? Unknown(truth.Primary);
        ReplicaView? secondary = truth.Secondary.Length == 0 ? null : input.View(truth.Secondary) ?? Unknown(truth.Secondary);
        if (input.Intent.Delete)
        {
            return Deleting(input, truth);
        }

        SwitchoverProgress? switchover = input.Intent.SwitchOverTo is { } target
            ? Switchover.Locate(target, truth, primary, secondary)
            : null;
        FailoverDecision? failover = input.Intent.Failover is { } request && request.OfTerm == truth.Term
            ? FailoverPolicy.Requested(input.Spec, input.Uid, truth, secondary, request)
            : null;
        PrimaryVerdict verdict = FailureDetector.Judge(primary, secondary, input.Spec.Failover.HeartbeatTimeout);
        VolumeSituation situation = Locate(input.Spec, truth, primary, secondary, verdict, switchover, failover);
        VolumePlan plan = situation switch
        {
            VolumeSituation.SwitchingOver => SwitchOver(truth, primary, switchover!),
            VolumeSituation.TakingOver => TakeOver(input.Spec, truth, secondary!, verdict, failover),
            VolumeSituation.PrimaryLost => PrimaryLost(input.Spec, truth, primary, secondary, verdict),
            VolumeSituation.PrimarySuspect => Wait(situation, verdict.Reason, verdict.Remaining < Calm ? verdict.Remaining : Calm),
            VolumeSituation.Promoting => Act(situation, $"{primary.Node} is to serve under term {truth.Term}",
                [.. Started(primary), new VolumeAction.Promote(primary.Node, truth.Term, PromotionPoint(input))]),
            VolumeSituation.PrimaryUnprepared => PreparePrimary(truth, primary),
            VolumeSituation.PrimaryWaiting => Wait(situation, $"{primary.Node} waits for the arbiter", Soon),
            VolumeSituation.SecondaryLost => Wait(situation, SecondaryLostReason(truth, primary, secondary), Calm),
            VolumeSituation.SecondaryUnprepared => PrepareSecondary(truth, primary, secondary!),
            VolumeSituation.SecondaryStopped => Act(situation, $"{secondary!.Node} is ready to be started", Connect(truth, primary, startSecondary: true)),
            VolumeSituation.Committing => Wait(situation, $"{primary.Node} commits its buffer; it serves meanwhile", Calm),
            VolumeSituation.Unattached => Act(situation, $"{primary.Node} has not joined {secondary!.Node} yet", Connect(truth, primary, startSecondary: false)),
            VolumeSituation.Syncing => Wait(situation, $"{secondary!.Node} is being filled{Percent(primary)}", Calm),
            VolumeSituation.LinkBroken => Wait(situation, $"{primary.Node} has lost its connection to {secondary!.Node}", Soon),
            VolumeSituation.Protected => Protect(input, truth, primary, secondary!),
            _ => throw new InvalidOperationException($"situation {situation} cannot arise here"),
        };
        return plan with { Phase = VolumeConditions.PhaseOf(situation, truth, primary), Switchover = switchover, Failover = failover };
    }

    /// <summary>The one place that says what is the case; the first that holds.</summary>
    private static VolumeSituation Locate(
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

        switch (verdict.Health)
        {
            case PrimaryHealth.Suspect:
                return VolumeSituation.PrimarySuspect;
            case PrimaryHealth.Dead or PrimaryHealth.Faulted:
                return FailoverPolicy.Automatic(spec, truth, secondary).Verdict == FailoverVerdict.Allowed
                    ? VolumeSituation.TakingOver
                    : VolumeSituation.PrimaryLost;
        }

        return LocatePrimary(truth, primary) ?? LocateSecondary(truth, primary, secondary);
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
        if (secondary is not { Answers: true } || secondary.Stage == ReplicaStage.Faulted)
        {
            return VolumeSituation.SecondaryLost;
        }

        if (!secondary.IsSecondaryOf(truth.Term) || secondary.Stage is ReplicaStage.Absent or ReplicaStage.Fenced or ReplicaStage.Done)
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

        return primary.Stage switch
        {
            ReplicaStage.Syncing => VolumeSituation.Syncing,
            ReplicaStage.Running when !primary.Connected => VolumeSituation.LinkBroken,
            ReplicaStage.Running => truth.SecondaryState == SecondaryState.InSync ? VolumeSituation.Protected : VolumeSituation.Syncing,
            _ => VolumeSituation.Unattached,
        };
    }

    private static VolumePlan Unrecorded(VolumeInput input)
    {
        if (input.Intent.Delete)
        {
            return Act(VolumeSituation.Deleting, "nothing was created") with { Phase = VolumePhase.Deleting };
        }

        List<string> silent = [.. input.Nodes.Where(n => !n.Answers).Select(n => n.Node)];
        if (silent.Count > 0)
        {
            return Wait(VolumeSituation.Unrecorded, $"waiting for {string.Join(", ", silent)}", Soon) with { Phase = VolumePhase.Pending };
        }

        // Syncing, not InSync: nobody has compared the two replicas yet, and Syncing is never promoted.
        (string primary, string secondary) = Placement.Choose(input.Spec.Placement, [.. input.Nodes.Select(n => n.Node)]);
        return Act(VolumeSituation.Unrecorded, $"{primary} becomes primary, {secondary} secondary",
            new VolumeAction.CreateRecord(new VolumeTruth(1, primary, secondary, SecondaryState.Syncing))) with { Phase = VolumePhase.Pending };
    }

    private static VolumePlan Deleting(VolumeInput input, VolumeTruth truth)
    {
        List<VolumeAction> actions = [];
        foreach (ReplicaView node in input.Nodes)
        {
            if (node.Answers)
            {
                actions.Add(new VolumeAction.DeleteReplica(node.Node, Math.Max(truth.Term, node.Term)));
            }
        }

        List<string> silent = [.. input.Nodes.Where(n => !n.Answers).Select(n => n.Node)];
        if (silent.Count == 0)
        {
            actions.Add(new VolumeAction.DeleteRecord());
        }

        return Act(VolumeSituation.Deleting, silent.Count == 0 ? "being deleted" : $"{string.Join(", ", silent)} still holds a replica", [.. actions])
            with { Phase = VolumePhase.Deleting };
    }

    private static VolumePlan SwitchOver(VolumeTruth truth, ReplicaView primary, SwitchoverProgress at) => at.Step switch
    {
        SwitchoverStep.HoldWrites => Act(VolumeSituation.SwitchingOver, at.Reason,
            new VolumeAction.Checkpoint(primary.Node, truth.Term, "switchover"),
            new VolumeAction.HoldWrites(primary.Node, truth.Term)),
        SwitchoverStep.RecordSwap => Act(VolumeSituation.SwitchingOver, at.Reason,
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

    /// <summary>A faulted primary that nobody may replace is opened again: the fault may have been of the moment.</summary>
    private static VolumePlan PrimaryLost(
        ReplicatedVolumeSpec spec, VolumeTruth truth, ReplicaView primary, ReplicaView? secondary, PrimaryVerdict verdict)
    {
        string reason = $"{verdict.Reason}; no failover: {FailoverPolicy.Automatic(spec, truth, secondary).Reason}";
        return verdict.Health == PrimaryHealth.Faulted
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
        return primary.Stage == ReplicaStage.FailingOver
            ? Act(VolumeSituation.SecondaryUnprepared, $"{secondary.Node} becomes secondary of term {truth.Term}", prepare)
            : Act(VolumeSituation.SecondaryUnprepared, $"{secondary.Node} becomes secondary of term {truth.Term}",
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
        return due is null
            ? Wait(VolumeSituation.Protected, $"{secondary.Node} is in sync", Calm)
            : Act(VolumeSituation.Protected, $"{secondary.Node} is in sync", new VolumeAction.Checkpoint(primary.Node, truth.Term, due));
    }

    /// <summary>A switchover never goes back to a checkpoint; a failover goes where it was asked to go.</summary>
    private static RecoveryPoint PromotionPoint(VolumeInput input) =>
        input.Intent.SwitchOverTo == input.Truth!.Primary ? RecoveryPoint.LatestWrite
        : input.Intent.Failover is { RecoveryPoint: { } asked } request && request.OfTerm == input.Truth.Term - 1 ? asked
        : input.Spec.EffectiveRecoveryPoint;

    private static string SecondaryLostReason(VolumeTruth truth, ReplicaView primary, ReplicaView? secondary) => secondary switch
    {
        null => $"{primary.Node} serves alone: there is no secondary",
        { Stage: ReplicaStage.Faulted, Answers: true } => $"{secondary.Node}'s replica is faulted: {secondary.Error}",
        _ => $"{secondary.Node} has been silent for {secondary.SilentFor.TotalSeconds:0.0} s; it is {truth.SecondaryState} by the record",
    };

    private static string Percent(ReplicaView primary) => primary.ResyncRatio is { } ratio ? $" ({ratio * 100:0} %)" : "";

    private static ReplicaView Unknown(string node) => new(node, TimeSpan.MaxValue);

    private static VolumePlan Act(VolumeSituation situation, string message, params VolumeAction[] actions) =>
        new(situation, actions, message, Soon);

    private static VolumePlan Wait(VolumeSituation situation, string message, TimeSpan recheck) =>
        new(situation, [], message, recheck);
}
