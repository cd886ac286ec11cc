using Colo.Api;
using Colo.Control;
using Colo.Kubernetes;
using Colo.Operator.Cluster;
using Colo.Operator.Events;
using Colo.Operator.Metrics;
using Colo.Operator.Volumes;
using k8s;

namespace Colo.Operator.Status;

/// <summary>
/// Writes a volume's status: at once where it says something new, seldom where only counters went on, never where nothing changed. Tells
/// as Events what happened between two statuses, once the second is written.
/// </summary>
internal sealed class StatusPublisher
{
    /// <summary>Between two writes of a volume's counters; more where there are many volumes, so that all together cost little.</summary>
    private static readonly TimeSpan CounterInterval = TimeSpan.FromSeconds(10);
    private const int CounterWritesPerSecond = 20;

    private static readonly TimeSpan WriteBound = TimeSpan.FromSeconds(5);

    private readonly StatusWriter<ReplicatedVolume> writer;
    private readonly VolumeSessions sessions;
    private readonly VolumeNotices notices;
    private readonly VolumeMetrics metrics;
    private readonly TimeProvider time;
    private readonly ILogger<StatusPublisher> log;

    public StatusPublisher(IKubernetes api, VolumeSessions sessions, VolumeNotices notices, VolumeMetrics metrics, TimeProvider time,
        ILogger<StatusPublisher> log)
    {
        HashSet<string> foreign = ["term", "currentPrimary", "currentSecondary", "secondaryState", "recordRevision"];
        writer = new(api, ResourceVolumes.Type, new StatusWriterOptions { ForeignFields = foreign }, time);
        this.sessions = sessions;
        this.notices = notices;
        this.metrics = metrics;
        this.time = time;
        this.log = log;
    }

    /// <param name="plan">Null: nothing could be decided.</param>
    /// <returns>False: it had to be written and was not; decide again.</returns>
    public async Task<bool> PublishAsync(VolumeSession session, ReplicatedVolumeStatus now, VolumePlan? plan, CancellationToken token)
    {
        ReplicatedVolumeStatus before = session.Before;
        bool isNews = session.Volume.Value.Status?.ObservedGeneration != session.Volume.Metadata.Generation || StatusEssence.Differs(before, now);
        if (!isNews && !(CountersAreDue(session) && StatusEssence.DiffersAtAll(before, now)))
        {
            return true;
        }

        using CancellationTokenSource bound = CancellationTokenSource.CreateLinkedTokenSource(token);
        bound.CancelAfter(WriteBound);
        try
        {
            StatusWriteResult<ReplicatedVolume> result = await writer.WriteAsync(session.Volume, now, bound.Token);
            session.Wrote(result.Latest);
            if (result.Outcome is StatusWriteOutcome.Outdated or StatusWriteOutcome.Gone)
            {
                return false;
            }
        }
        catch (Exception e) when (e is ApiException || (e is OperationCanceledException && !token.IsCancellationRequested))
        {
            log.StatusNotWritten(session.Volume.Key.ToString(), e.Message);
            return false;
        }

        session.Published = now;
        session.PublishedAt = time.GetTimestamp();
        Tell(session, before, now, plan);
        return true;
    }

    private void Tell(VolumeSession session, ReplicatedVolumeStatus before, ReplicatedVolumeStatus now, VolumePlan? plan)
    {
        if (plan?.Switchover is { Step: not SwitchoverStep.NotReady } || plan?.Situation == VolumeSituation.SwitchingOver
            || VolumeMilestones.WasSwitchingOver(before))
        {
            session.IsSwitchingOver = true;
        }

        foreach (VolumeNotice notice in VolumeMilestones.Between(before, now, session.IsSwitchingOver, session.ServedTerm))
        {
            notices.Tell(session.Volume, notice);
            if (notice.Reason == NoticeReason.SwitchedOver)
            {
                session.IsSwitchingOver = false;
                metrics.SwitchedOver(session.Volume.Key);
            }
        }

        if (VolumeMilestones.IsServed(now))
        {
            session.ServedTerm = now.Term;
        }
    }

    private bool CountersAreDue(VolumeSession session)
    {
        TimeSpan fair = TimeSpan.FromSeconds((double)sessions.Count / CounterWritesPerSecond);
        return time.GetElapsedTime(session.PublishedAt) >= (fair > CounterInterval ? fair : CounterInterval);
    }
}
