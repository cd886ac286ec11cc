using System.Collections.Concurrent;
using Colo.Api;
using Colo.Control;
using Colo.Driver;
using Colo.Kubernetes;
using Colo.Operator.Volumes;
using Prometheus;

namespace Colo.Operator.Metrics;

/// <summary>What the operator itself knows: phases, failovers, agents. The rest is the agents' and Colo.Kubernetes' own.</summary>
internal sealed class VolumeMetrics
{
    private static readonly string[] PhaseLabels = ["namespace", "volume", "phase"];
    private static readonly string[] VolumeLabels = ["namespace", "volume"];

    private readonly Gauge phases;
    private readonly Counter failovers;
    private readonly Counter switchovers;
    private readonly Counter failedFailovers;
    private readonly Histogram durations;
    private readonly Gauge agents;
    private readonly TimeProvider time;
    private readonly ConcurrentDictionary<ObjectKey, VolumePhase> shown = new();

    public VolumeMetrics(CollectorRegistry registry, AgentFeed feed, TimeProvider time)
    {
        this.time = time;
        MetricFactory make = Prometheus.Metrics.WithCustomRegistry(registry);
        phases = make.CreateGauge("colo_volume_phase", "1 for the phase that the volume is in", PhaseLabels);
        failovers = make.CreateCounter("colo_failover_total", "failovers that were completed", VolumeLabels);
        switchovers = make.CreateCounter("colo_switchover_total", "planned changes of primary that were completed", VolumeLabels);
        failedFailovers = make.CreateCounter("colo_failover_failed_total", "attempts of a failover that failed", VolumeLabels);
        durations = make.CreateHistogram(
            "colo_failover_duration_seconds", "from the last word of the former primary to the service of the new one",
            new HistogramConfiguration { Buckets = [1, 2, 3, 3.5, 4, 4.5, 5, 6, 8, 10, 15, 30, 60] });
        agents = make.CreateGauge("colo_operator_agents", "agents by state", "state");
        registry.AddBeforeCollectCallback(() => Count(feed));
    }

    public void Forget(ObjectKey key)
    {
        if (shown.TryRemove(key, out VolumePhase phase))
        {
            phases.RemoveLabelled(key.Namespace, key.Name, phase.ToString());
            failovers.RemoveLabelled(key.Namespace, key.Name);
            switchovers.RemoveLabelled(key.Namespace, key.Name);
            failedFailovers.RemoveLabelled(key.Namespace, key.Name);
        }
    }

    public void Follow(VolumeSession session, RoundDecision decision)
    {
        ObjectKey key = session.Volume.Key;
        VolumePhase phase = decision.Plan.Phase;
        if (!shown.TryGetValue(key, out VolumePhase before) || before != phase)
        {
            shown[key] = phase;
            phases.WithLabels(key.Namespace, key.Name, phase.ToString()).Set(1);
            if (before != phase)
            {
                phases.RemoveLabelled(key.Namespace, key.Name, before.ToString());
            }
        }

        bool takesOver = decision.Plan.Situation == VolumeSituation.TakingOver;
        if (takesOver && session.FailoverBegan is null && decision.Seen.Record is { } record)
        {
            TimeSpan silent = decision.Seen.Sights.GetValueOrDefault(record.Primary)?.SilentFor ?? TimeSpan.Zero;
            session.FailoverBegan = time.GetTimestamp() - (long)(silent.TotalSeconds * time.TimestampFrequency);
        }
        else if (phase is not (VolumePhase.FailingOver or VolumePhase.Faulted) && !takesOver && session.FailoverBegan is { } began)
        {
            session.FailoverBegan = null;
            failovers.WithLabels(key.Namespace, key.Name).Inc();
            durations.Observe(time.GetElapsedTime(began).TotalSeconds);
        }
    }

    public void SwitchedOver(ObjectKey key) => switchovers.WithLabels(key.Namespace, key.Name).Inc();

    public void FailoverFailed(ObjectKey key) => failedFailovers.WithLabels(key.Namespace, key.Name).Inc();

    private void Count(AgentFeed feed)
    {
        IReadOnlyCollection<string> nodes = feed.Nodes;
        int answering = nodes.Count(n => feed.Describe(n).Answers);
        agents.WithLabels("answering").Set(answering);
        agents.WithLabels("silent").Set(nodes.Count - answering);
    }
}
