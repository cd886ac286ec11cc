using Colo.Api;
using Colo.AgentApi;
using Colo.Cli.Status;
using Colo.Control;

namespace Colo.Cli.Local;

/// <summary>What a request to the control loop came to.</summary>
public sealed record RequestOutcome(bool Done, string Message);

/// <summary>
/// Drives one volume: observe, plan, act, again. The only one who acts on it; requests change its intent and wait for what the plan
/// makes of them. An action whose agent falls silent is given up, so that a hung agent never hides behind a call.
/// </summary>
public sealed class VolumeDriver
{
    private static readonly TimeSpan LongestBackoff = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan FirstBackoff = TimeSpan.FromMilliseconds(200);
    private static readonly TimeSpan Round = TimeSpan.FromMilliseconds(200);

    private readonly LocalLayout layout;
    private readonly VolumeObserver observer;
    private readonly ActionExecutor executor;
    private readonly Action<VolumeIntent> saveIntent;
    private readonly TimeProvider time;
    private readonly SemaphoreSlim wake = new(0);
    private readonly Lock requestLock = new();
    private LocalVolume volume;
    private Pending? pending;
    private (string Actions, TimeSpan Wait, long Since)? backoff;
    private string? lastFailure;

    public VolumeDriver(
        LocalLayout layout, LocalVolume volume, IReadOnlyDictionary<string, AgentConnection> agents, Action<VolumeIntent> saveIntent,
        TimeProvider time, TextWriter log)
    {
        this.layout = layout;
        this.volume = volume;
        this.saveIntent = saveIntent;
        this.time = time;
        VolumeRecordFile record = new(layout.Records, volume.Uid);
        observer = new VolumeObserver(volume.Uid, agents, record, time);
        executor = new ActionExecutor(volume, layout, agents, record);
        Events = new VolumeEvents(volume.Name, time, log);
        Latest = Describe(new ReplicatedVolumeStatus { Phase = VolumePhase.Pending, Message = "not looked at yet" });
    }

    private sealed record Pending(string Verb, TaskCompletionSource<RequestOutcome> Answer, long Since);

    public string Name => volume.Name;

    public VolumeEvents Events { get; }

    /// <summary>As of the latest round.</summary>
    public ReplicatedVolume Latest { get; private set; }

    public async Task RunAsync(CancellationToken token)
    {
        while (!token.IsCancellationRequested)
        {
            VolumeObservation seen = await observer.ObserveAsync(token);
            bool worked = seen.RecordFault is null
                ? await RoundAsync(seen, token)
                : Blind(seen.RecordFault);
            if (!worked)
            {
                await wake.WaitAsync(Round, token);
            }
        }
    }

    /// <summary>Sets the intent of one request and waits for its outcome. One request at a time.</summary>
    public async Task<RequestOutcome> AskAsync(string verb, Func<VolumeIntent, ReplicatedVolumeStatus, VolumeIntent> change, CancellationToken token)
    {
        TaskCompletionSource<RequestOutcome> answer = new(TaskCreationOptions.RunContinuationsAsynchronously);
        lock (requestLock)
        {
            if (pending is not null)
            {
                return new RequestOutcome(false, $"a {pending.Verb} of {Name} is under way");
            }

            pending = new Pending(verb, answer, time.GetTimestamp());
            SetIntent(change(volume.Intent, Latest.Status!));
        }

        wake.Release();
        return await answer.Task.WaitAsync(token);
    }

    private async Task<bool> RoundAsync(VolumeObservation seen, CancellationToken token)
    {
        VolumeInput input = new(volume.Uid, volume.Manifest.Spec, seen.Truth, seen.Views, volume.Intent);
        VolumePlan plan = VolumeReconciler.Plan(input);
        Publish(plan, input, seen);
        JudgeRequest(plan, input);
        return plan.Actions.Count > 0 && !BacksOff(plan) && await ActAsync(plan, seen, token);
    }

    private bool Blind(string fault)
    {
        Events.Add("RecordUnreadable", fault);
        Latest = Describe(Latest.Status! with { Phase = VolumePhase.Faulted, Message = $"the record cannot be read: {fault}" });
        return false;
    }

    private void Publish(VolumePlan plan, VolumeInput input, VolumeObservation seen)
    {
        string guestSocket = layout.GuestSocket(Name);
        ReplicatedVolumeStatus status = VolumeStatusBuilder.Build(plan, input, seen, guestSocket);
        Latest = Describe(lastFailure is null ? status : status with { Message = $"{status.Message}; the last attempt failed: {lastFailure}" });
        if (input.Truth is { } truth && seen.Statuses.GetValueOrDefault(truth.Primary) is { } primary && primary.Role == Role.Primary &&
            VolumeStatusBuilder.GuestOf(primary) is { } guest)
        {
            GuestLink.Point(guestSocket, guest.Socket);
        }

        // The message counts seconds in some situations; the situation alone is the event.
        Events.Add(plan.Situation.ToString(), plan.Situation is VolumeSituation.PrimarySuspect or VolumeSituation.SecondaryLost or VolumeSituation.PrimaryLost
            or VolumeSituation.Syncing ? "" : plan.Message);
    }

    /// <summary>An action that failed is tried again after a growing wait, unless something else is to be done by then.</summary>
    private bool BacksOff(VolumePlan plan) =>
        backoff is { } last && last.Actions == Text(plan) && time.GetElapsedTime(last.Since) < last.Wait;

    private async Task<bool> ActAsync(VolumePlan plan, VolumeObservation seen, CancellationToken token)
    {
        foreach (VolumeAction action in plan.Actions)
        {
            if (action is VolumeAction.Checkpoint)
            {
                observer.CheckpointTried();
            }

            ActionOutcome outcome = await DoWhileAnsweringAsync(action, seen, token);
            Events.Add(outcome.Done ? action.GetType().Name : "Failed", outcome.Message);
            if (action is VolumeAction.Checkpoint && plan.Situation == VolumeSituation.Protected)
            {
                Settle("checkpoint", outcome.Done, outcome.Message);
            }

            if (!outcome.Done)
            {
                TimeSpan wait = backoff is { } last && last.Actions == Text(plan) ? last.Wait * 2 : FirstBackoff;
                backoff = (Text(plan), wait < LongestBackoff ? wait : LongestBackoff, time.GetTimestamp());
                lastFailure = outcome.Message;
                GiveUpOn(plan, outcome.Message);
                return false;
            }
        }

        backoff = null;
        lastFailure = null;
        return true;
    }

    /// <summary>Cancels the call when its agent has not answered a poll for the heartbeat timeout.</summary>
    private async Task<ActionOutcome> DoWhileAnsweringAsync(VolumeAction action, VolumeObservation seen, CancellationToken token)
    {
        using CancellationTokenSource call = CancellationTokenSource.CreateLinkedTokenSource(token);
        Task<ActionOutcome> work = executor.DoAsync(action, seen, call.Token);
        TimeSpan patience = volume.Manifest.Spec.Failover.HeartbeatTimeout;
        while (await Task.WhenAny(work, Task.Delay(Round, token)) != work && ActionExecutor.NodeOf(action) is { } node)
        {
            VolumeObservation now = await observer.ObserveAsync(token);
            if (now.Views.FirstOrDefault(v => v.Node == node) is { } view && view.SilentFor > patience)
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

    private void JudgeRequest(VolumePlan plan, VolumeInput input)
    {
        if (plan.Switchover is { Step: SwitchoverStep.Done } done)
        {
            SetIntent(volume.Intent with { SwitchOverTo = null });
            Settle("switchover", true, done.Reason);
        }
        else if (plan.Switchover is { Step: SwitchoverStep.NotReady } notReady && plan.Situation is not VolumeSituation.TakingOver)
        {
            SetIntent(volume.Intent with { SwitchOverTo = null });
            Settle("switchover", false, notReady.Reason);
        }

        JudgeFailover(plan, input);
        if (volume.Intent.Checkpoint && plan.Situation != VolumeSituation.Protected)
        {
            Settle("checkpoint", false, $"{Name} is {plan.Phase}: {plan.Message}");
        }
    }

    private void JudgeFailover(VolumePlan plan, VolumeInput input)
    {
        if (volume.Intent.Failover is not { } request || input.Truth is not { } truth)
        {
            return;
        }

        if (plan.Failover is { Verdict: FailoverVerdict.Refused or FailoverVerdict.Wait } refused)
        {
            SetIntent(volume.Intent with { Failover = null });
            Settle("failover", false, refused.Reason);
        }
        else if (truth.Term > request.OfTerm && input.View(truth.Primary) is { Serves: true } primary && primary.IsPrimaryOf(truth.Term))
        {
            SetIntent(volume.Intent with { Failover = null });
            Settle("failover", true, $"{truth.Primary} serves under term {truth.Term}");
        }
    }

    /// <summary>A person's request does not wait behind a failing step for ever: it is told what failed.</summary>
    private void GiveUpOn(VolumePlan plan, string message)
    {
        if (plan.Situation == VolumeSituation.SwitchingOver && plan.Switchover!.Step == SwitchoverStep.HoldWrites)
        {
            SetIntent(volume.Intent with { SwitchOverTo = null });
            Settle("switchover", false, message);
        }
    }

    private void Settle(string verb, bool done, string message)
    {
        lock (requestLock)
        {
            if (verb == "checkpoint" && volume.Intent.Checkpoint)
            {
                SetIntent(volume.Intent with { Checkpoint = false });
            }

            if (pending?.Verb == verb)
            {
                pending.Answer.TrySetResult(new RequestOutcome(done, message));
                pending = null;
            }
        }
    }

    private void SetIntent(VolumeIntent intent)
    {
        lock (requestLock)
        {
            volume = volume with { Intent = intent };
            saveIntent(intent);
        }
    }

    private static string Text(VolumePlan plan) => string.Join(';', plan.Actions);

    private ReplicatedVolume Describe(ReplicatedVolumeStatus status) => volume.Manifest with
    {
        Metadata = volume.Manifest.Metadata with { Uid = volume.Uid },
        Status = status,
    };
}
