using Colo.AgentApi;
using Colo.Control;
using Colo.Driver;
using Colo.Operator.Cluster;
using Colo.Operator.Events;
using Colo.Operator.Metrics;

namespace Colo.Operator.Volumes;

/// <summary>Tells of a round's steps: to the log all of them, to people those that a status does not show.</summary>
internal sealed class RoundReport(ClusterWatch cluster, VolumeNotices notices, VolumeMetrics metrics, ILogger<RoundReport> log)
{
    public void Tell(VolumeSession session, RoundResult round)
    {
        string name = session.Volume.Key.ToString();
        string? situation = round.Plan?.Situation.ToString();
        foreach (RoundEvent happened in round.Events)
        {
            if (happened.Failed)
            {
                TellFailure(session, round, happened.Message);
            }
            else if (happened.Kind != situation)
            {
                log.Acted(name, happened.Message);
            }
            else if (session.Situation != situation)
            {
                session.Situation = situation;
                log.Situation(name, situation, round.Status.Phase.ToString(), round.Status.Message);
            }
        }

        TellFormerReplicas(session, round);
    }

    private void TellFailure(VolumeSession session, RoundResult round, string message)
    {
        log.NotDone(session.Volume.Key.ToString(), message);
        if (round.Plan is { Situation: VolumeSituation.Protected, Actions: [VolumeAction.Checkpoint, ..] })
        {
            notices.Tell(session.Volume, new(NoticeReason.CheckpointFailed, message, IsWarning: true));
        }
        else if (round.Plan?.Situation is VolumeSituation.TakingOver or VolumeSituation.Promoting)
        {
            metrics.FailoverFailed(session.Volume.Key);
        }
    }

    /// <summary>A name that was another volume before: what that left is not this volume's, and nobody touches it unasked.</summary>
    private void TellFormerReplicas(VolumeSession session, RoundResult round)
    {
        foreach (string node in round.Seen.Sights.Keys)
        {
            foreach (VolumeStatus other in cluster.Agents.Describe(node).Volumes)
            {
                if ((other.Namespace, other.Name) == (session.Volume.Key.Namespace, session.Volume.Key.Name) && other.Uid != session.Uid
                    && session.Told.Add($"{node}/{other.Uid}"))
                {
                    notices.Tell(session.Volume, new(
                        NoticeReason.StaleReplicaRefused,
                        $"{node} still holds a replica of an earlier volume of this name (uid {other.Uid}, {other.DiskPath}); it is left alone",
                        IsWarning: true));
                }
            }
        }
    }
}
