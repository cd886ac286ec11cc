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
        TellOlderAgents(session, round);
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

    /// <summary>Once a node and volume, and again after it was newer: a rollout that stands still is seen on the volumes that it concerns.</summary>
    private void TellOlderAgents(VolumeSession session, RoundResult round)
    {
        foreach (AgentNode node in round.Seen.Sights.Keys.Select(cluster.Agents.Describe))
        {
            string told = $"{node.Node} is older";
            if (node is not { Answers: true, Status: { } status })
            {
                continue;
            }

            if (status.ApiLevel >= AgentApiLevel.Current)
            {
                session.Told.Remove(told);
            }
            else if (session.Told.Add(told))
            {
                notices.Tell(session.Volume, new(
                    NoticeReason.AgentOutdated,
                    $"the agent of {node.Node} (version {(status.Version.Length > 0 ? status.Version : "unknown")}) speaks level {Math.Max(1, status.ApiLevel)} of the "
                    + $"agents' interface and this operator {AgentApiLevel.Current}: it is asked each second instead of followed; upgrade the agents",
                    IsWarning: true));
            }
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
