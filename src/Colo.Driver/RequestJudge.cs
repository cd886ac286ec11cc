using Colo.Api;
using Colo.Control;

namespace Colo.Driver;

/// <summary>Says which requests of people a plan, or an action, has settled. Decides nothing about the volume itself.</summary>
internal static class RequestJudge
{
    public static IReadOnlyList<SettledRequest> Judge(string name, VolumePlan plan, VolumeInput input) =>
        [.. new[] { Switchover(plan), Failover(plan, input), Checkpoint(name, plan, input), Resync(plan) }.OfType<SettledRequest>()];

    /// <param name="outcome">Of the last action that was tried.</param>
    public static SettledRequest? Judge(VolumePlan plan, VolumeAction action, ActionOutcome outcome) => (plan.Situation, action) switch
    {
        (VolumeSituation.Protected, VolumeAction.Checkpoint) => new(RequestVerb.Checkpoint, outcome.Done, outcome.Message),

        // A person's request does not wait behind a failing step for ever: it is told what failed.
        (VolumeSituation.SwitchingOver, _) when !outcome.Done && plan.Switchover!.Step == SwitchoverStep.HoldWrites =>
            new(RequestVerb.Switchover, false, outcome.Message),
        (VolumeSituation.Refilling, VolumeAction.DeleteReplica) => new(RequestVerb.Resync, outcome.Done, outcome.Done ? plan.Message : outcome.Message),
        (VolumeSituation.Refilling, _) when !outcome.Done => new(RequestVerb.Resync, false, outcome.Message),
        _ => null,
    };

    private static SettledRequest? Switchover(VolumePlan plan) => plan switch
    {
        { Switchover: { Step: SwitchoverStep.Done } done } => new(RequestVerb.Switchover, true, done.Reason),
        { Switchover: { Step: SwitchoverStep.NotReady } notReady, Situation: not VolumeSituation.TakingOver } =>
            new(RequestVerb.Switchover, false, notReady.Reason),
        _ => null,
    };

    private static SettledRequest? Failover(VolumePlan plan, VolumeInput input)
    {
        if (input.Intent.Failover is not { } request || input.Truth is not { } truth)
        {
            return null;
        }

        if (plan.Failover is { Verdict: FailoverVerdict.Refused or FailoverVerdict.Wait } refused)
        {
            return new(RequestVerb.Failover, false, refused.Reason);
        }

        return truth.Term > request.OfTerm && input.View(truth.Primary) is { Serves: true } primary && primary.IsPrimaryOf(truth.Term)
            ? new(RequestVerb.Failover, true, $"{truth.Primary} serves under term {truth.Term}")
            : null;
    }

    private static SettledRequest? Checkpoint(string name, VolumePlan plan, VolumeInput input) =>
        input.Intent.Checkpoint && plan.Situation != VolumeSituation.Protected
            ? new(RequestVerb.Checkpoint, false, $"{name} is {plan.Phase}: {plan.Message}")
            : null;

    private static SettledRequest? Resync(VolumePlan plan) =>
        plan.Refill is { Step: RefillStep.Refused } refused ? new(RequestVerb.Resync, false, refused.Reason) : null;
}
