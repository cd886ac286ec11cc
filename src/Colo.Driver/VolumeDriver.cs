using Colo.AgentApi;
using Colo.Api;
using Colo.Control;

namespace Colo.Driver;

/// <summary>
/// Drives one volume, a round at a time: observe, plan, act. Make one a volume and keep it: it remembers what must not be in the record
/// (when an action failed, when a checkpoint was tried), and loses nothing of worth when it dies. One round at a time; never two drivers
/// of a volume in one process. An action whose agent falls silent is given up, so that a hung agent never hides behind a call.
/// </summary>
public sealed class VolumeDriver(string uid, IAgents agents, IVolumeRecordStore record, DriverOptions options, TimeProvider time)
{
    private static readonly TimeSpan LongestBackoff = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan FirstBackoff = TimeSpan.FromMilliseconds(200);
    private static readonly TimeSpan LongestOnHearsay = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan SilenceCheck = TimeSpan.FromMilliseconds(200);

    private readonly VolumeObserver observer = new(uid, agents, record, time);
    private (string Actions, TimeSpan Wait, long Since)? backoff;
    private string? lastFailure;
    private long askedAt = time.GetTimestamp();

    public string Uid => uid;

    /// <summary>Never throws for what an agent or the record's store does; only for <see cref="RoundRequest.Decided"/>'s own exceptions.</summary>
    public async Task<RoundResult> RoundAsync(RoundRequest request, CancellationToken token)
    {
        (VolumeObservation seen, VolumeInput input) = await ObserveAsync(request, ask: false, token);
        if (seen.RecordFault is { } fault)
        {
            return Blind(request.Volume, seen, fault);
        }

        VolumePlan plan = VolumeReconciler.Plan(input);
        if (agents.AnnouncesChanges && (Changes(plan) ? !BacksOff(plan) : WaitsTooLong(plan)))
        {
            askedAt = time.GetTimestamp();
            (seen, input) = await ObserveAsync(request, ask: true, token);
            if (seen.RecordFault is { } meanwhile)
            {
                return Blind(request.Volume, seen, meanwhile);
            }

            plan = VolumeReconciler.Plan(input);
        }

        RoundDecision decision = Decide(request, plan, input, seen);
        if (request.Decided is { } decided)
        {
            await decided(decision, token);
        }

        return plan.Actions.Count == 0 || BacksOff(plan)
            ? new(plan, decision.Status, seen, [Found(plan)], decision.Settled, Worked: false, Requeue.After(plan, input, agents, Remaining(plan)))
            {
                IsDeleted = plan.Actions.Count == 0 && IsDone(plan),
            }
            : await ActAsync(request, decision, input, token);
    }

    /// <summary>A checkpoint is safe on old news; what starts, stops or swaps a replica is looked at twice.</summary>
    private static bool Changes(VolumePlan plan) => plan.Actions.Count > 0 && !plan.Actions.All(a => a is VolumeAction.Checkpoint);

    /// <summary>Whoever waits for something that was announced and missed would wait for ever.</summary>
    private bool WaitsTooLong(VolumePlan plan) =>
        plan.Situation != VolumeSituation.Protected && time.GetElapsedTime(askedAt) >= LongestOnHearsay;

    private async Task<(VolumeObservation Seen, VolumeInput Input)> ObserveAsync(RoundRequest request, bool ask, CancellationToken token)
    {
        IEnumerable<string> named = request.Volume.Status is { } last ? [last.CurrentPrimary, last.CurrentSecondary] : [];
        VolumeObservation seen = await observer.ObserveAsync(
            request.Volume.Spec.StoragePool, named.Where(n => n.Length > 0).Concat(request.Holders), ask, token);
        return (seen, new VolumeInput(uid, request.Volume.Spec, seen.Truth, seen.Views, request.Intent)
        {
            Candidates = request.Candidates,
            Holders = request.Holders,
            PrimaryNodeBefore = request.Volume.Status?.ObservedPrimaryNode,
            DeadNodeGrace = options.DeadNodeGrace,
        });
    }

    private RoundDecision Decide(RoundRequest request, VolumePlan plan, VolumeInput input, VolumeObservation seen)
    {
        ReplicatedVolumeStatus status = VolumeStatusBuilder.Build(plan, input, seen, request.GuestSocket);
        return new(
            plan, lastFailure is null ? status : status with { Message = $"{status.Message}; the last attempt failed: {lastFailure}" }, seen,
            RequestJudge.Judge(request.Volume.Metadata.Name, plan, input));
    }

    private async Task<RoundResult> ActAsync(RoundRequest request, RoundDecision decision, VolumeInput input, CancellationToken token)
    {
        VolumePlan plan = decision.Plan;
        ActionExecutor executor = new(uid, request.Volume with { Spec = input.AsMade }, options, agents, record);
        TimeSpan patience = request.Volume.Spec.Failover.HeartbeatTimeout;
        List<RoundEvent> events = [Found(plan)];
        List<SettledRequest> settled = [.. decision.Settled];
        List<string> deleted = [];
        string? failure = null;
        foreach (VolumeAction action in plan.Actions)
        {
            if (failure is not null && !(plan.Deletion is not null && action is VolumeAction.DeleteReplica))
            {
                // A deletion asks each node, whatever another answered; everything else is a sequence.
                break;
            }

            if (action is VolumeAction.Checkpoint)
            {
                observer.CheckpointTried();
            }

            ActionOutcome outcome = await DoWhileAnsweringAsync(executor, action, decision.Seen, patience, token);
            events.Add(new(outcome.Done ? action.GetType().Name : "Failed", outcome.Message, !outcome.Done));
            settled.AddRange(RequestJudge.Judge(plan, action, outcome) is { } judged ? [judged] : []);
            if (outcome.Done)
            {
                deleted.AddRange(action is VolumeAction.DeleteReplica delete ? [delete.Node] : []);
                continue;
            }

            failure ??= outcome.Message;
        }

        if (failure is null)
        {
            (backoff, lastFailure) = (null, null);
            return new(plan, decision.Status, decision.Seen, events, settled, Worked: true, VolumeReconciler.Soon)
            {
                Deleted = deleted,
                IsDeleted = IsDone(plan),
            };
        }

        Failed(plan, failure);
        ReplicatedVolumeStatus status = decision.Status with { Message = $"{plan.Message}; the last attempt failed: {failure}" };
        return new(plan, status, decision.Seen, events, settled, Worked: false, Remaining(plan) ?? FirstBackoff) { Deleted = deleted };
    }

    private static bool IsDone(VolumePlan plan) => plan.Deletion is { } deletion && !deletion.Waiting.Any();

    /// <summary>Cancels the call when its agent has been silent for the heartbeat timeout.</summary>
    private async Task<ActionOutcome> DoWhileAnsweringAsync(
        ActionExecutor executor, VolumeAction action, VolumeObservation seen, TimeSpan patience, CancellationToken token)
    {
        using CancellationTokenSource call = CancellationTokenSource.CreateLinkedTokenSource(token);
        Task<ActionOutcome> work = executor.DoAsync(action, seen, call.Token);
        while (await Task.WhenAny(work, Task.Delay(SilenceCheck, time, token)) != work && ActionExecutor.NodeOf(action) is { } node)
        {
            if (await observer.SilenceAsync(node, seen, token) > patience)
            {
                await call.CancelAsync();
                return await AbandonedAsync(work, node);
            }
        }

        return await work;
    }

    private static async Task<ActionOutcome> AbandonedAsync(Task<ActionOutcome> work, string node)
    {
        try
        {
            return await work;
        }
        catch (Exception e) when (e is OperationCanceledException or Grpc.Core.RpcException)
        {
            return ActionOutcome.Failure($"{node} fell silent");
        }
    }

    private void Failed(VolumePlan plan, string message)
    {
        TimeSpan wait = backoff is { } last && last.Actions == Text(plan) ? last.Wait * 2 : FirstBackoff;
        backoff = (Text(plan), wait < LongestBackoff ? wait : LongestBackoff, time.GetTimestamp());
        lastFailure = message;
    }

    /// <summary>An action that failed is tried again after a growing wait, unless something else is to be done by then.</summary>
    private bool BacksOff(VolumePlan plan) => Remaining(plan) is not null;

    private TimeSpan? Remaining(VolumePlan plan) =>
        backoff is { } last && last.Actions == Text(plan) && last.Wait - time.GetElapsedTime(last.Since) is var left && left > TimeSpan.Zero ? left : null;

    private static RoundResult Blind(ReplicatedVolume volume, VolumeObservation seen, string fault)
    {
        ReplicatedVolumeStatus status = (volume.Status ?? new ReplicatedVolumeStatus()) with
        {
            Phase = VolumePhase.Faulted,
            Message = $"the record cannot be read: {fault}",
        };
        return new(null, status, seen, [new("RecordUnreadable", fault, Failed: true)], [], Worked: false, VolumeReconciler.Calm);
    }

    /// <summary>The message counts seconds in some situations; the situation alone is the event.</summary>
    public static RoundEvent Found(VolumePlan plan) => new(
        plan.Situation.ToString(),
        plan.Situation is VolumeSituation.PrimarySuspect or VolumeSituation.SecondaryLost or VolumeSituation.PrimaryLost or VolumeSituation.Syncing
            ? ""
            : plan.Message);

    private static string Text(VolumePlan plan) => string.Join(';', plan.Actions);
}
