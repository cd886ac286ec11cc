using Colo.Api;

namespace Colo.Control;

public enum FailoverVerdict
{
    Allowed,

    /// <summary>Not now; may be allowed when more is known.</summary>
    Wait,

    Refused,
}

/// <param name="LosesWrites">The copy is known to miss acknowledged writes: only where a person accepted that.</param>
public sealed record FailoverDecision(FailoverVerdict Verdict, string Reason, RecoveryPoint RecoveryPoint, bool LosesWrites = false);

/// <summary>
/// Who may take over: the node that the record names as secondary, and only while it records InSync. A Stale or Syncing copy needs a
/// person who names the volume's UID and accepts the loss.
/// </summary>
public static class FailoverPolicy
{
    /// <summary>The primary is dead or faulted; may the secondary take over without being asked?</summary>
    public static FailoverDecision Automatic(ReplicatedVolumeSpec spec, VolumeTruth truth, ReplicaView? survivor)
    {
        FailoverDecision may = Eligible(truth, survivor, spec.EffectiveRecoveryPoint);
        return may.Verdict == FailoverVerdict.Allowed && spec.Failover.Policy == FailoverMode.Manual
            ? may with { Verdict = FailoverVerdict.Refused, Reason = "spec.failover.policy is Manual: run `coloctl local failover`" }
            : may;
    }

    /// <summary>A person asks. A living primary does not hinder it: the term fences it, and no acknowledged write is lost.</summary>
    public static FailoverDecision Requested(
        ReplicatedVolumeSpec spec, string uid, VolumeTruth truth, ReplicaView? survivor, FailoverRequest request)
    {
        RecoveryPoint point = request.RecoveryPoint ?? spec.EffectiveRecoveryPoint;
        if (request.ForceUid is null)
        {
            return Eligible(truth, survivor, point);
        }

        if (request.ForceUid != uid)
        {
            return Refuse($"--uid {request.ForceUid} is not this volume's UID", point);
        }

        if (!request.AcceptDataLoss)
        {
            return Refuse("a forced failover needs --accept-data-loss", point);
        }

        FailoverDecision may = Eligible(truth with { SecondaryState = SecondaryState.InSync }, survivor, point, evenSyncing: true);
        bool loses = truth.SecondaryState != SecondaryState.InSync;
        return may with
        {
            LosesWrites = loses && may.Verdict == FailoverVerdict.Allowed,
            Reason = may.Verdict == FailoverVerdict.Allowed && loses
                ? $"forced: {truth.Secondary} is {truth.SecondaryState} and misses writes that {truth.Primary} acknowledged"
                : may.Reason,
        };
    }

    private static FailoverDecision Eligible(VolumeTruth truth, ReplicaView? survivor, RecoveryPoint point, bool evenSyncing = false)
    {
        if (truth.Secondary.Length == 0 || survivor is null || truth.SecondaryState == SecondaryState.None)
        {
            return Refuse("there is no secondary", point);
        }

        if (survivor.Node != truth.Secondary)
        {
            return Refuse($"{survivor.Node} is not the recorded secondary", point);
        }

        if (truth.SecondaryState != SecondaryState.InSync)
        {
            return Refuse(
                $"{truth.Secondary} is {truth.SecondaryState}: it misses acknowledged writes. Bring {truth.Primary} back, or force it with the volume's UID",
                point);
        }

        if (!survivor.Answers)
        {
            return new(FailoverVerdict.Wait, $"{survivor.Node} does not answer either", point);
        }

        if (survivor.PoolFailingFor is not null)
        {
            return new(FailoverVerdict.Wait, $"the pool of {survivor.Node} fails its probe ({survivor.PoolFault})", point);
        }

        return survivor.Stage switch
        {
            ReplicaStage.Absent or ReplicaStage.WaitingArbiter =>
                new(FailoverVerdict.Wait, $"{survivor.Node} has not opened its replica yet", point),
            ReplicaStage.Faulted => Refuse($"{survivor.Node}'s replica is faulted: {survivor.Error}", point),
            ReplicaStage.Prepared when point == RecoveryPoint.LastCheckpoint =>
                Refuse($"{survivor.Node} no longer holds its last checkpoint; ask for the recovery point LatestWrite", point),
            ReplicaStage.Syncing when !evenSyncing => Refuse($"{survivor.Node} is being filled", point),
            _ => new(FailoverVerdict.Allowed, $"{survivor.Node} is in sync", point),
        };
    }

    private static FailoverDecision Refuse(string reason, RecoveryPoint point) => new(FailoverVerdict.Refused, reason, point);
}
