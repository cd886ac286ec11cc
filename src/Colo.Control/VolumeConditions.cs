using Colo.Api;

namespace Colo.Control;

/// <summary>What a situation is called to the outside: the phase and the conditions.</summary>
public static class VolumeConditions
{
    public static VolumePhase PhaseOf(VolumeSituation situation, VolumeTruth? truth, ReplicaView? primary)
    {
        // A volume that was never in sync is being provisioned; one that was is degraded.
        bool isNew = truth is null or { Term: 1, SecondaryState: SecondaryState.Syncing or SecondaryState.None };
        VolumePhase notYet = isNew ? VolumePhase.Provisioning : VolumePhase.Degraded;
        return situation switch
        {
            VolumeSituation.Unrecorded or VolumeSituation.Unplaced or VolumeSituation.SpecInvalid => VolumePhase.Pending,
            VolumeSituation.Deleting => VolumePhase.Deleting,
            VolumeSituation.SwitchingOver or VolumeSituation.TakingOver or VolumeSituation.Promoting => VolumePhase.FailingOver,
            VolumeSituation.PrimaryLost => VolumePhase.Faulted,
            VolumeSituation.PrimarySuspect => VolumePhase.Degraded,
            VolumeSituation.PrimaryUnprepared or VolumeSituation.PrimaryWaiting => notYet,
            VolumeSituation.SecondaryUnprepared or VolumeSituation.SecondaryStopped or VolumeSituation.Unattached => notYet,
            VolumeSituation.Replacing or VolumeSituation.Refilling => notYet,
            VolumeSituation.SecondaryLost or VolumeSituation.Committing or VolumeSituation.LinkBroken => VolumePhase.Degraded,
            VolumeSituation.Syncing => VolumePhase.Syncing,
            VolumeSituation.Protected => primary is { Suspended: true } ? VolumePhase.Degraded : VolumePhase.Protected,
            _ => throw new InvalidOperationException($"situation {situation} has no phase"),
        };
    }

    /// <summary>All condition types, each time: an absent condition says nothing.</summary>
    public static IReadOnlyList<VolumeCondition> Of(VolumePlan plan, VolumeInput input)
    {
        ReplicaView? primary = input.Truth is { } truth ? input.View(truth.Primary) : null;
        bool ready = primary is { Answers: true, Serves: true } && primary.IsPrimaryOf(input.Truth!.Term);
        bool protectedNow = plan.Phase == VolumePhase.Protected;
        bool degraded = plan.Phase is VolumePhase.Degraded or VolumePhase.Faulted;
        bool resyncing = plan.Situation == VolumeSituation.Syncing;
        bool failingOver = plan.Phase == VolumePhase.FailingOver;
        ReplicaView? full = input.Nodes.FirstOrDefault(n => n.BufferLimitBytes > 0 && n.BufferedBytes >= n.BufferLimitBytes * CheckpointSchedule.HighWater);
        string reason = plan.Situation.ToString();
        UnappliedSpec? unapplied = plan.Unapplied;
        return
        [
            Condition(ConditionType.Ready, ready, ready ? "PrimaryServes" : reason, ready ? $"{primary!.Node} serves the guest" : plan.Message),
            Condition(ConditionType.Protected, protectedNow, protectedNow ? "InSync" : reason, plan.Message),
            Condition(ConditionType.Degraded, degraded, degraded ? reason : "AsExpected", degraded ? plan.Message : ""),
            Condition(ConditionType.Resyncing, resyncing, resyncing ? "CopyRuns" : "NoCopy", resyncing ? plan.Message : ""),
            Condition(ConditionType.FailoverInProgress, failingOver, failingOver ? reason : "None", failingOver ? plan.Message : ""),
            Condition(ConditionType.SpecApplied, unapplied is null, unapplied?.Reason ?? "AsSpecified", unapplied?.Message ?? ""),
            Condition(ConditionType.StorageFull, full is not null, full is null ? "BelowHighWater" : "BufferPressure",
                full is null ? "" : $"{full.Node}: {new ByteQuantity(full.BufferedBytes).ToDisplayString()} of {new ByteQuantity(full.BufferLimitBytes).ToDisplayString()}"),
        ];
    }

    private static VolumeCondition Condition(string type, bool holds, string reason, string message) =>
        new() { Type = type, Status = holds ? "True" : "False", Reason = reason, Message = message };
}
