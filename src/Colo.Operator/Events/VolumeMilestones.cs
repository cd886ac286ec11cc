using Colo.Api;
using Colo.Operator.Cluster;

namespace Colo.Operator.Events;

/// <summary>
/// What happened between two statuses of a volume. The one before is what the API server holds, so that an operator that takes over in the
/// middle of something still tells how it ended.
/// </summary>
public static class VolumeMilestones
{
    /// <param name="switchingOver">The change of primary was planned.</param>
    /// <param name="servedTerm">The last term that was seen served; null: none by this process.</param>
    public static IEnumerable<VolumeNotice> Between(
        ReplicatedVolumeStatus? before, ReplicatedVolumeStatus now, bool switchingOver, long? servedTerm = null)
    {
        before ??= new ReplicatedVolumeStatus();
        return
        [
            .. Provisioning(before, now),
            .. ChangeOfPrimary(before, now, switchingOver, servedTerm),
            .. Copying(before, now),
            .. Protection(before, now),
            .. Replicas(before, now),
            .. Errors(before, now),
        ];
    }

    /// <summary>An operator that takes over in the middle of a switchover finds what it was in the condition's reason.</summary>
    public static bool WasSwitchingOver(ReplicatedVolumeStatus before) =>
        before.Conditions.Any(c => c is { Type: ConditionType.FailoverInProgress, Status: "True", Reason: "SwitchingOver" });

    private static IEnumerable<VolumeNotice> Provisioning(ReplicatedVolumeStatus before, ReplicatedVolumeStatus now)
    {
        if (before.Phase is VolumePhase.Pending or VolumePhase.Provisioning && !Holds(before, ConditionType.Ready) && Holds(now, ConditionType.Ready)
            && now.Term == 1)
        {
            yield return new(NoticeReason.Provisioned, $"{now.CurrentPrimary} serves the guest, {now.CurrentSecondary} holds the second copy");
        }
    }

    private static IEnumerable<VolumeNotice> ChangeOfPrimary(
        ReplicatedVolumeStatus before, ReplicatedVolumeStatus now, bool switchingOver, long? servedTerm)
    {
        bool isUnderWay = Holds(now, ConditionType.FailoverInProgress);
        // The record changes with the takeover, the service begins with the promotion: done is the second.
        bool isNew = servedTerm is { } served
            ? served < now.Term
            : !Holds(before, ConditionType.Ready) && (before.Term < now.Term || Holds(before, ConditionType.FailoverInProgress));
        if (now.Term > 1 && Holds(now, ConditionType.Ready) && !isUnderWay && isNew)
        {
            yield return new(
                switchingOver ? NoticeReason.SwitchedOver : NoticeReason.FailedOver,
                $"{now.CurrentPrimary} serves under term {now.Term}",
                IsWarning: !switchingOver);
        }
    }

    public static bool IsServed(ReplicatedVolumeStatus status) => Holds(status, ConditionType.Ready);

    private static IEnumerable<VolumeNotice> Copying(ReplicatedVolumeStatus before, ReplicatedVolumeStatus now)
    {
        bool was = Holds(before, ConditionType.Resyncing);
        bool isNow = Holds(now, ConditionType.Resyncing);
        if (!was && isNow)
        {
            yield return new(NoticeReason.ResyncStarted, $"{now.CurrentPrimary} fills {now.CurrentSecondary}");
        }
        else if (was && !isNow && now.SecondaryState == SecondaryState.InSync)
        {
            yield return new(NoticeReason.ResyncFinished, $"{now.CurrentSecondary} is in sync");
        }
    }

    private static IEnumerable<VolumeNotice> Protection(ReplicatedVolumeStatus before, ReplicatedVolumeStatus now)
    {
        if (!Holds(before, ConditionType.Protected) && Holds(now, ConditionType.Protected))
        {
            yield return new(NoticeReason.Protected, $"{now.CurrentPrimary} and {now.CurrentSecondary} hold every write");
        }

        if (!Holds(before, ConditionType.Degraded) && Holds(now, ConditionType.Degraded))
        {
            yield return new(NoticeReason.Degraded, now.Message, IsWarning: true);
        }

        if (Condition(now, ConditionType.Protected) is { Reason: UnreachableAgents.Reason } unreachable
            && Condition(before, ConditionType.Protected)?.Reason != UnreachableAgents.Reason)
        {
            yield return new(NoticeReason.AgentUnreachable, unreachable.Message, IsWarning: true);
        }

        if (Condition(now, ConditionType.SpecApplied) is { Status: "False" } refused && Condition(before, ConditionType.SpecApplied)?.Status != "False")
        {
            yield return new(NoticeReason.InvalidSpec, refused.Message, IsWarning: true);
        }

        if (!Holds(before, ConditionType.StorageFull) && Condition(now, ConditionType.StorageFull) is { Status: "True" } full)
        {
            yield return new(NoticeReason.BufferPressure, full.Message, IsWarning: true);
        }
    }

    private static IEnumerable<VolumeNotice> Replicas(ReplicatedVolumeStatus before, ReplicatedVolumeStatus now)
    {
        foreach (ReplicaStatus replica in now.Replicas.Where(r => r.State == "Fenced"))
        {
            if (before.Replicas.FirstOrDefault(r => r.Node == replica.Node)?.State != replica.State)
            {
                yield return new(
                    NoticeReason.StaleReplicaRefused,
                    $"{replica.Node} came back with a copy of term {replica.Term} and was refused: term {now.Term} is served by {now.CurrentPrimary}",
                    IsWarning: true);
            }
        }
    }

    private static IEnumerable<VolumeNotice> Errors(ReplicatedVolumeStatus before, ReplicatedVolumeStatus now) =>
        from error in now.Errors
        where error.Number > 0 && !before.Errors.Any(e => (e.Node, e.Number) == (error.Node, error.Number))
        select new VolumeNotice(NoticeReason.ReplicationError, $"error {error.Number} {error.Name} on {error.Node}: {error.Message}", IsWarning: true);

    private static bool Holds(ReplicatedVolumeStatus status, string type) => Condition(status, type)?.Status == "True";

    private static VolumeCondition? Condition(ReplicatedVolumeStatus status, string type) => status.Conditions.FirstOrDefault(c => c.Type == type);
}
