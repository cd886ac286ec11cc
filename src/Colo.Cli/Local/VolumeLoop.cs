using Colo.AgentApi;
using Colo.Api;
using Colo.Control;
using Colo.Driver;

namespace Colo.Cli.Local;

/// <summary>What a request to the control loop came to.</summary>
public sealed record RequestOutcome(bool Done, string Message);

/// <summary>
/// Runs the rounds of one volume of this machine, one after the other. Requests change its intent and wait for what a round makes of
/// them; the intent is saved before anything is done about it.
/// </summary>
public sealed class VolumeLoop
{
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(200);

    private readonly LocalLayout layout;
    private readonly VolumeDriver driver;
    private readonly Action<VolumeIntent> saveIntent;
    private readonly SemaphoreSlim wake = new(0);
    private readonly Lock requestLock = new();
    private LocalVolume volume;
    private Pending? pending;

    public VolumeLoop(LocalLayout layout, LocalVolume volume, IAgents agents, Action<VolumeIntent> saveIntent, TimeProvider time, TextWriter log)
    {
        this.layout = layout;
        this.volume = volume;
        this.saveIntent = saveIntent;
        DriverOptions options = new() { Arbiter = ArbiterPlace.InDirectory(layout.Records) };
        driver = new VolumeDriver(volume.Uid, agents, new VolumeRecordFile(layout.Records, volume.Uid), options, time);
        Events = new VolumeEvents(volume.Name, time, log);
        Latest = Describe(new ReplicatedVolumeStatus { Phase = VolumePhase.Pending, Message = "not looked at yet" });
    }

    private sealed record Pending(RequestVerb Verb, TaskCompletionSource<RequestOutcome> Answer);

    public string Name => volume.Name;

    public VolumeEvents Events { get; }

    /// <summary>As of the latest round.</summary>
    public ReplicatedVolume Latest { get; private set; }

    public async Task RunAsync(CancellationToken token)
    {
        while (!token.IsCancellationRequested)
        {
            VolumeIntent intent = volume.Intent;
            RoundRequest request = new(Latest, intent)
            {
                GuestSocket = layout.GuestSocket(Name),
                Decided = (decision, _) =>
                {
                    Publish(decision.Status, decision.Seen);
                    Events.Add(decision.Plan.Situation.ToString(), VolumeDriver.Found(decision.Plan).Message);
                    Settle(intent, decision.Settled);
                    return Task.CompletedTask;
                },
            };
            RoundResult result = await driver.RoundAsync(request, token);
            Publish(result.Status, result.Seen);
            foreach (RoundEvent happened in result.Events)
            {
                Events.Add(happened.Kind, happened.Message);
            }

            Settle(intent, result.Settled);
            if (!result.Worked)
            {
                await wake.WaitAsync(Pause, token);
            }
        }
    }

    /// <summary>Sets the intent of one request and waits for its outcome. One request at a time.</summary>
    public async Task<RequestOutcome> AskAsync(
        RequestVerb verb, Func<VolumeIntent, ReplicatedVolumeStatus, VolumeIntent> change, CancellationToken token)
    {
        TaskCompletionSource<RequestOutcome> answer = new(TaskCreationOptions.RunContinuationsAsynchronously);
        lock (requestLock)
        {
            if (pending is not null)
            {
                return new RequestOutcome(false, $"a {pending.Verb.ToString().ToLowerInvariant()} of {Name} is under way");
            }

            pending = new Pending(verb, answer);
            SetIntent(change(volume.Intent, Latest.Status!));
        }

        wake.Release();
        return await answer.Task.WaitAsync(token);
    }

    private void Publish(ReplicatedVolumeStatus status, VolumeObservation seen)
    {
        Latest = Describe(status);
        if (seen.Truth is { } truth && seen.StatusOf(truth.Primary) is { Role: Role.Primary } primary && VolumeStatusBuilder.GuestOf(primary) is { } guest)
        {
            GuestLink.Point(layout.GuestSocket(Name), guest.Socket);
        }
    }

    /// <param name="judged">The intent that was judged: a request that came in since is not settled by it.</param>
    private void Settle(VolumeIntent judged, IEnumerable<SettledRequest> settled)
    {
        lock (requestLock)
        {
            foreach (SettledRequest request in settled.Where(r => r.Verb switch
            {
                RequestVerb.Switchover => judged.SwitchOverTo is not null && volume.Intent.SwitchOverTo == judged.SwitchOverTo,
                RequestVerb.Failover => judged.Failover is not null && volume.Intent.Failover == judged.Failover,
                RequestVerb.Checkpoint => judged.Checkpoint && volume.Intent.Checkpoint,
                _ => false,
            }))
            {
                SetIntent(request.Verb switch
                {
                    RequestVerb.Switchover => volume.Intent with { SwitchOverTo = null },
                    RequestVerb.Failover => volume.Intent with { Failover = null },
                    _ => volume.Intent with { Checkpoint = false },
                });
                if (pending?.Verb == request.Verb)
                {
                    pending.Answer.TrySetResult(new RequestOutcome(request.Done, request.Message));
                    pending = null;
                }
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

    private ReplicatedVolume Describe(ReplicatedVolumeStatus status) => volume.Manifest with
    {
        Metadata = volume.Manifest.Metadata with { Uid = volume.Uid },
        Status = status,
    };
}
