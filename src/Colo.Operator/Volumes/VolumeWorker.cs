using Colo.AgentApi;
using Colo.Api;
using Colo.Control;
using Colo.Driver;
using Colo.Kubernetes;
using Colo.Operator.Cluster;
using Colo.Operator.Events;
using Colo.Operator.Metrics;
using Colo.Operator.Quiesce;
using Colo.Operator.Requests;
using Colo.Operator.Status;

namespace Colo.Operator.Volumes;

/// <summary>
/// One round of one volume: what is there (informers, agents, record), what is wanted (spec, annotations, cordons), then the driver's round,
/// with the finalizers and the status before its side effects and the answers to people after them. Keeps nothing that its death would lose.
/// </summary>
internal sealed class VolumeWorker(
    ClusterWatch cluster,
    VolumeSessions sessions,
    CandidateNodes candidates,
    StatusPublisher publisher,
    VolumeTeardown teardown,
    RequestDesk desk,
    VolumeNotices notices,
    QuiescedCheckpoint quiesce,
    VolumeMetrics metrics,
    TimeProvider time,
    ILogger<VolumeWorker> log) : IReconciler
{
    private static readonly TimeSpan Soon = TimeSpan.FromMilliseconds(100);

    /// <summary>For what nobody announces: a change of a spec that cannot be worked on is announced.</summary>
    private static readonly TimeSpan Seldom = TimeSpan.FromSeconds(30);

    public async ValueTask<ReconcileResult> ReconcileAsync(ObjectKey key, CancellationToken token)
    {
        if (cluster.Volume(key) is not { } informed)
        {
            sessions.Forget(key);
            metrics.Forget(key);
            return ReconcileResult.Done;
        }

        VolumeSession session = sessions.Of(informed);
        Resource<ReplicatedVolume> volume = session.Newest(informed);
        if (volume.IsBeingDeleted && volume.Metadata.Finalizers?.Any(VolumeFinalizers.IsOurs) != true)
        {
            return ReconcileResult.Done;
        }

        if (!volume.IsBeingDeleted && SpecCheck.Fault(volume.Value.Spec, Replicas(session.Uid)) is { } fault)
        {
            return await RefuseAsync(session, volume, fault, token);
        }

        session.Told.Remove(NoticeReason.InvalidSpec);
        return await WorkAsync(session, volume, token);
    }

    private async Task<ReconcileResult> WorkAsync(VolumeSession session, Resource<ReplicatedVolume> volume, CancellationToken token)
    {
        VolumeRequests requests = VolumeRequests.Read(volume.Value.Metadata.Annotations);
        VolumeWishes wishes = VolumeWishes.Of(volume.Value, volume.IsBeingDeleted, requests, cluster.IsCordoned);
        IReadOnlyList<string> holders = VolumeFinalizers.NodesOf(volume.Metadata.Finalizers, cluster.KnownNodes);
        await using QuiescedCheckpoint.Window window = quiesce.Open(volume);
        session.Record.Begin(SeenRecord.Of(volume));
        Task Decided(RoundDecision decision, CancellationToken t) => PrepareAsync(session, volume, decision, window, t);
        RoundResult round;
        try
        {
            round = await session.Driver.RoundAsync(
                new RoundRequest(volume.Value, wishes.Intent)
                {
                    Holders = volume.IsBeingDeleted || volume.Value.Status?.Term > 0 ? holders : candidates.Of(volume.Value.Spec),
                    Decided = Decided,
                },
                token);
        }
        catch (Exception e) when (e is RoundOutdatedException or PlacementException)
        {
            return await WaitAsync(session, volume, e, token);
        }

        return await FinishAsync(session, volume, requests, wishes, holders, round, token);
    }

    /// <summary>Before the first side effect of a round: whoever deletes the volume from here on has to wait for it to be undone.</summary>
    private async Task PrepareAsync(
        VolumeSession session, Resource<ReplicatedVolume> volume, RoundDecision decision, QuiescedCheckpoint.Window window, CancellationToken token)
    {
        metrics.Follow(session, volume.Key, decision);
        bool acts = decision.Plan.Actions.Count > 0;
        if (acts && !volume.IsBeingDeleted && !await teardown.HoldAsync(session, volume, decision.Nodes, token))
        {
            throw new RoundOutdatedException("it is being deleted");
        }

        bool published = await publisher.PublishAsync(
            session, session.Latest(volume), Complete(session, volume.Value, decision.Status, decision.Seen), decision.Plan, token);

        // A takeover does not wait for a status to be told.
        if (!published && acts && decision.Plan.Phase != VolumePhase.FailingOver)
        {
            throw new RoundOutdatedException("the volume changed meanwhile");
        }

        await window.FreezeForAsync(decision.Plan, token);
    }

    private async Task<ReconcileResult> FinishAsync(
        VolumeSession session, Resource<ReplicatedVolume> volume, VolumeRequests requests, VolumeWishes wishes, IReadOnlyList<string> holders,
        RoundResult round, CancellationToken token)
    {
        volume = session.Latest(volume);
        Report(session, volume, round);
        if (round.Plan is null)
        {
            await publisher.PublishAsync(session, volume, Complete(session, volume.Value, round.Status, round.Seen), null, token);
            return ReconcileResult.After(round.RequeueAfter);
        }

        if (volume.IsBeingDeleted)
        {
            await teardown.LetGoAsync(session, volume, holders, round, token);
        }

        IReadOnlyList<JudgedRequest> judged = desk.Judge(session, requests, wishes.Cause, round.Settled);
        if (judged.Count > 0)
        {
            ReplicatedVolumeStatus status = Complete(session, volume.Value, round.Status, round.Seen);
            if (!await publisher.PublishAsync(session, volume, desk.Note(status, judged), round.Plan, token))
            {
                return ReconcileResult.After(Soon);
            }

            await desk.CloseAsync(session, session.Latest(volume), judged, token);
            return ReconcileResult.After(Soon);
        }

        TimeSpan next = session.Waiting is not null && round.RequeueAfter > RequestDesk.Patience ? RequestDesk.Patience : round.RequeueAfter;
        return ReconcileResult.After(next);
    }

    private async Task<ReconcileResult> RefuseAsync(VolumeSession session, Resource<ReplicatedVolume> volume, string fault, CancellationToken token)
    {
        string message = $"nothing is done for this volume, not even a failover, until its spec is corrected: {fault}";
        ReplicatedVolumeStatus before = volume.Value.Status ?? new ReplicatedVolumeStatus();
        await publisher.PublishAsync(session, volume, RefusedStatus.InvalidSpec(before, message), null, token);
        if (session.Told.Add(NoticeReason.InvalidSpec))
        {
            log.SpecRefused(volume.Key.ToString(), fault);
            notices.Tell(volume, new(NoticeReason.InvalidSpec, message, IsWarning: true));
        }

        return ReconcileResult.After(Seldom);
    }

    /// <summary>It cannot be worked on at this moment.</summary>
    private async Task<ReconcileResult> WaitAsync(VolumeSession session, Resource<ReplicatedVolume> volume, Exception why, CancellationToken token)
    {
        if (why is not PlacementException)
        {
            return ReconcileResult.After(Soon);
        }

        ReplicatedVolumeStatus status = (volume.Value.Status ?? new ReplicatedVolumeStatus()) with { Phase = VolumePhase.Pending };
        await publisher.PublishAsync(session, volume, RefusedStatus.NoPlace(status, why.Message), null, token);
        return ReconcileResult.After(TimeSpan.FromSeconds(2));
    }

    /// <summary>What the driver does not know of: the last request, the placement taken up, agents that cannot be reached.</summary>
    private ReplicatedVolumeStatus Complete(VolumeSession session, ReplicatedVolume volume, ReplicatedVolumeStatus status, VolumeObservation seen)
    {
        ReplicatedVolumeStatus before = session.Published ?? volume.Status ?? new ReplicatedVolumeStatus();
        string[] faults = [.. seen.Sights.Values.Where(s => !s.Answers).Select(s => (s.Node, Fault: cluster.Agents.Describe(s.Node).Fault))
            .Where(f => f.Fault is not null).Select(f => $"{f.Node}: {f.Fault}")];
        return UnreachableAgents.Note(status, faults) with
        {
            LastRequest = before.LastRequest,
            ObservedPrimaryNode = PlacementTaken.Next(before.ObservedPrimaryNode, volume.Spec.Placement.PrimaryNode, status),
        };
    }

    private void Report(VolumeSession session, Resource<ReplicatedVolume> volume, RoundResult round)
    {
        string name = volume.Key.ToString();
        foreach (RoundEvent happened in round.Events)
        {
            if (happened.Failed)
            {
                log.NotDone(name, happened.Message);
            }
            else if (happened.Kind == round.Plan?.Situation.ToString())
            {
                if (session.Situation != happened.Kind)
                {
                    session.Situation = happened.Kind;
                    log.Situation(name, happened.Kind, round.Status.Phase.ToString(), round.Status.Message);
                }
            }
            else if (happened.Kind == nameof(VolumeAction.Checkpoint))
            {
                log.Checkpointed(name, happened.Message);
            }
            else
            {
                log.Acted(name, happened.Message);
            }
        }

        RoundEvent? failed = round.Events.FirstOrDefault(e => e.Failed);
        if (failed is not null && round.Plan?.Actions is [VolumeAction.Checkpoint, ..])
        {
            notices.Tell(volume, new(NoticeReason.CheckpointFailed, failed.Message, IsWarning: true));
        }

        foreach ((string node, VolumeStatus other) in cluster.FormerReplicas(volume, round.Seen.Sights.Keys))
        {
            if (session.Told.Add($"{node}/{other.Uid}"))
            {
                notices.Tell(volume, new(
                    NoticeReason.StaleReplicaRefused,
                    $"{node} still holds a replica of an earlier volume of this name (uid {other.Uid}, {other.DiskPath}); it is left alone",
                    IsWarning: true));
            }
        }
    }

    private IEnumerable<VolumeStatus> Replicas(string uid) =>
        cluster.Agents.NodesOf(uid).SelectMany(n => cluster.Agents.Describe(n).Volumes).Where(v => v.Uid == uid);
}

/// <summary>What the round was decided on is no longer so: decide again.</summary>
internal sealed class RoundOutdatedException(string message) : Exception(message);
