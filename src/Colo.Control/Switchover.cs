using Colo.Api;

namespace Colo.Control;

/// <summary>The steps of a planned change of primary, in their order.</summary>
public enum SwitchoverStep
{
    /// <summary>It cannot begin; nothing was changed.</summary>
    NotReady,

    /// <summary>A checkpoint, then the primary stops serving: what it acknowledged is on both replicas, and nothing more will be.</summary>
    HoldWrites,

    /// <summary>The record is swapped under the next term. From here on there is no way back, only forward.</summary>
    RecordSwap,

    Promote,

    Done,
}

public sealed record SwitchoverProgress(SwitchoverStep Step, string Reason);

/// <summary>
/// A switchover without loss, found anew in each round from the record and what the agents say, so that it survives the death of
/// whoever drives it: before the swap it may be given up (the primary is prepared again), after it it is completed.
/// </summary>
public static class Switchover
{
    public static SwitchoverProgress Locate(string target, VolumeTruth truth, ReplicaView primary, ReplicaView? secondary)
    {
        if (truth.Primary == target)
        {
            return primary.IsPrimaryOf(truth.Term) && primary.Serves
                ? new(SwitchoverStep.Done, $"{target} serves under term {truth.Term}")
                : new(SwitchoverStep.Promote, $"{target} is to serve under term {truth.Term}");
        }

        if (secondary is null || truth.Secondary != target)
        {
            return NotReady($"{target} is not the secondary of this volume");
        }

        if (truth.SecondaryState != SecondaryState.InSync)
        {
            return NotReady($"{target} is {truth.SecondaryState}, not InSync");
        }

        if (!primary.Answers || !secondary.Answers)
        {
            return NotReady($"{(primary.Answers ? secondary : primary).Node} does not answer");
        }

        if (!secondary.IsSecondaryOf(truth.Term) || secondary.Stage is not (ReplicaStage.Running or ReplicaStage.Prepared or ReplicaStage.Done))
        {
            return NotReady($"{target}'s replica is {secondary.Stage}, not Running");
        }

        if (primary.Stage == ReplicaStage.Absent)
        {
            return new(SwitchoverStep.RecordSwap, $"{primary.Node} has stopped serving");
        }

        return primary.IsPrimaryOf(truth.Term) && primary.Stage == ReplicaStage.Running && primary.Connected && !primary.Suspended
            ? new(SwitchoverStep.HoldWrites, $"{primary.Node} hands over to {target}")
            : NotReady($"{primary.Node} is {primary.Stage}{(primary.Connected ? "" : ", not connected")}{(primary.Suspended ? ", suspended" : "")}");
    }

    private static SwitchoverProgress NotReady(string reason) => new(SwitchoverStep.NotReady, reason);
}
