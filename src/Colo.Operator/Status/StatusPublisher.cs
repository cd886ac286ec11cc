using Colo.Api;
using Colo.Kubernetes;
using Colo.Operator.Cluster;
using Colo.Operator.Events;
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
    private readonly TimeProvider time;
    private readonly ILogger<StatusPublisher> log;

    public StatusPublisher(IKubernetes api, VolumeSessions sessions, VolumeNotices notices, TimeProvider time, ILogger<StatusPublisher> log)
    {
        HashSet<string> foreign = ["term", "currentPrimary", "currentSecondary", "secondaryState", "recordRevision"];
        writer = new(api, ResourceVolumes.Type, new StatusWriterOptions { ForeignFields = foreign }, time);
        this.sessions = sessions;
        this.notices = notices;
        this.time = time;
        this.log = log;
    }

    /// <returns>False: it had to be written and was not; decide again.</returns>
    public async Task<bool> PublishAsync(
        VolumeSession session, Resource<ReplicatedVolume> seen, ReplicatedVolumeStatus now, bool switchingOver, CancellationToken token)
    {
        ReplicatedVolumeStatus before = session.Published ?? seen.Value.Status ?? new ReplicatedVolumeStatus();
        bool isNews = session.Published is null ? seen.Value.Status is null || StatusEssence.Differs(before, now) : StatusEssence.Differs(before, now);
        if (!isNews && !(CountersAreDue(session) && StatusEssence.DiffersAtAll(before, now)))
        {
            session.Published ??= before;
            return true;
        }

        using CancellationTokenSource bound = CancellationTokenSource.CreateLinkedTokenSource(token);
        bound.CancelAfter(WriteBound);
        try
        {
            StatusWriteResult<ReplicatedVolume> result = await writer.WriteAsync(seen, now, bound.Token);
            session.Wrote(result.Latest);
            if (result.Outcome is StatusWriteOutcome.Outdated or StatusWriteOutcome.Gone)
            {
                return false;
            }
        }
        catch (Exception e) when (e is ApiException || (e is OperationCanceledException && !token.IsCancellationRequested))
        {
            log.StatusNotWritten(seen.Key.ToString(), e.Message);
            return false;
        }

        session.Published = now;
        session.PublishedAt = time.GetTimestamp();
        foreach (VolumeNotice notice in VolumeMilestones.Between(before, now, switchingOver))
        {
            notices.Tell(seen, notice);
        }

        return true;
    }

    private bool CountersAreDue(VolumeSession session)
    {
        TimeSpan fair = TimeSpan.FromSeconds((double)sessions.Count / CounterWritesPerSecond);
        return session.Published is null || time.GetElapsedTime(session.PublishedAt) >= (fair > CounterInterval ? fair : CounterInterval);
    }
}
