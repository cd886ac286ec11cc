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
    NodeBoard nodes,
    VolumeSessions sessions,
    StatusPublisher publisher,
    VolumeTeardown teardown,
    RequestDesk desk,
    QuiescedCheckpoint quiesce,
    RoundReport report,
    UnreachableAgents unreachable,
    VolumeNotices notices,
    VolumeMetrics metrics) : IReconciler
{
    private static readonly TimeSpan Soon = TimeSpan.FromMilliseconds(50);

    public async ValueTask<ReconcileResult> ReconcileAsync(ObjectKey key, CancellationToken token)
    {
        if (cluster.Volume(key) is not { } informed)
        {
            sessions.Forget(key);
            metrics.Forget(key);
            return ReconcileResult.Done;
        }

        VolumeSession session = sessions.Of(informed);
        session.Begin(informed);
        if (session.Volume.IsBeingDeleted && session.Volume.Metadata.Finalizers?.Any(VolumeFinalizers.IsOurs) != true)
        {
            return ReconcileResult.Done;
        }

        try
        {
            return await WorkAsync(session, token);
        }
        catch (RoundOutdatedException)
        {
            return ReconcileResult.After(Soon);
        }
    }

    private async Task<ReconcileResult> WorkAsync(VolumeSession session, CancellationToken token)
    {
        VolumeRequests requests = VolumeRequests.Read(session.Volume.Value.Metadata.Annotations);
        await using QuiescedCheckpoint.Window window = quiesce.Open(session.Volume);
        session.Record.Begin(SeenRecord.Of(session.Volume));
        RoundResult round = await session.Driver.RoundAsync(
            new RoundRequest(session.Volume.Value, requests.ToIntent(session.Volume.IsBeingDeleted))
            {
                Holders = VolumeFinalizers.NodesOf(session.Volume.Metadata.Finalizers, cluster.KnownNodes),
                Candidates = nodes.Facts(),
                Decided = (decision, t) => PrepareAsync(session, decision, window, t),
            },
            token);
        return await FinishAsync(session, requests, round, token);
    }

    /// <summary>Before the first side effect of a round: whoever deletes the volume from here on has to wait for it to be undone.</summary>
    private async Task PrepareAsync(VolumeSession session, RoundDecision decision, QuiescedCheckpoint.Window window, CancellationToken token)
    {
        bool acts = decision.Plan.Actions.Count > 0;
        if (acts && !session.Volume.IsBeingDeleted && !await teardown.HoldAsync(session, decision.Nodes, token))
        {
            throw new RoundOutdatedException("it is being deleted");
        }

        metrics.Follow(session, decision);
        if (decision.Plan.Situation == VolumeSituation.TakingOver)
        {
            // The record before the status: a takeover is as late as it may be already, and who dies here has begun it.
            session.IsSwitchingOver = false;
            notices.Tell(session.Volume, new(NoticeReason.FailingOver, decision.Plan.Message, IsWarning: true));
            return;
        }

        bool published = await publisher.PublishAsync(session, Complete(session, decision.Status, decision.Plan, decision.Seen), decision.Plan, token);

        // A promotion does not wait for its status to be told.
        if (!published && acts && decision.Plan.Phase != VolumePhase.FailingOver)
        {
            throw new RoundOutdatedException("the volume changed meanwhile");
        }

        await window.FreezeForAsync(decision.Plan, token);
    }

    private async Task<ReconcileResult> FinishAsync(VolumeSession session, VolumeRequests requests, RoundResult round, CancellationToken token)
    {
        report.Tell(session, round);
        await teardown.LetGoAsync(session, round, token);
        if (session.Volume.IsBeingDeleted)
        {
            return ReconcileResult.After(round.RequeueAfter);
        }

        IReadOnlyList<JudgedRequest> judged = desk.Judge(session, requests, round.Settled);
        if (round.Plan is null || judged.Count > 0 || (round.Plan.Situation == VolumeSituation.TakingOver && !round.Worked))
        {
            ReplicatedVolumeStatus status = desk.Note(Complete(session, round.Status, round.Plan, round.Seen), judged);
            bool published = await publisher.PublishAsync(session, status, round.Plan, token);
            if (published && judged.Count > 0)
            {
                await desk.CloseAsync(session, judged, token);
            }

            return ReconcileResult.After(judged.Count > 0 ? Soon : round.RequeueAfter);
        }

        // What is asked of an unready volume is judged again before it is refused.
        TimeSpan next = session.Waiting is not null && round.RequeueAfter > RequestDesk.LookAgain ? RequestDesk.LookAgain : round.RequeueAfter;
        return ReconcileResult.After(next);
    }

    /// <summary>What the driver does not know of: the last request, and why agents cannot be reached.</summary>
    private ReplicatedVolumeStatus Complete(VolumeSession session, ReplicatedVolumeStatus status, VolumePlan? plan, VolumeObservation seen)
    {
        bool looksForNodes = plan?.Situation is VolumeSituation.Unplaced or VolumeSituation.Unrecorded;
        return unreachable.Note(status, looksForNodes ? cluster.Agents.Nodes : seen.Sights.Keys) with { LastRequest = session.Before.LastRequest };
    }
}

/// <summary>What the round was decided on is no longer so: decide again.</summary>
internal sealed class RoundOutdatedException(string message) : Exception(message);
