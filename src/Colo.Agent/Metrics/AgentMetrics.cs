using Colo.Agent.Volumes;
using Colo.AgentApi;
using Colo.Nbd.Server;
using Colo.Replication;
using Prometheus;
using ResyncProgress = Colo.AgentApi.ResyncProgress;
using SecondaryState = Colo.AgentApi.SecondaryState;

namespace Colo.Agent.Metrics;

/// <summary>
/// /metrics under the names of the design (prefix colo_; labels volume, namespace, node). Nothing is counted here: each scrape copies
/// what the volumes know, so that the way of a write carries no metrics library.
/// </summary>
public sealed class AgentMetrics
{
    private static readonly string[] Labels = ["volume", "namespace", "node"];
    private static readonly string[] OpLabels = [.. Labels, "op"];
    private static readonly string[] ErrorLabels = [.. Labels, "error"];

    private static readonly (string Op, NbdOperation Operation)[] Operations =
    [
        ("read", NbdOperation.Read),
        ("write", NbdOperation.Write),
        ("zero", NbdOperation.WriteZeroes),
        ("discard", NbdOperation.Trim),
        ("flush", NbdOperation.Flush),
    ];

    private readonly IVolumes volumes;
    private readonly CollectorRegistry registry;
    private readonly Lock guard = new();
    private HashSet<string[]> known = new(new LabelComparer());

    private readonly Gauge inSync;
    private readonly Gauge connected;
    private readonly Gauge primary;
    private readonly Gauge term;
    private readonly Gauge suspended;
    private readonly Gauge bytesOutOfSync;
    private readonly Counter requests;
    private readonly Counter bytes;
    private readonly Counter ioErrors;
    private readonly Counter errors;
    private readonly Counter checkpoints;
    private readonly BucketHistogram checkpointPause;
    private readonly BucketHistogram forwards;
    private readonly Gauge checkpointAge;
    private readonly Gauge bufferBytes;
    private readonly Gauge bufferLimit;
    private readonly Gauge resyncRatio;
    private readonly Gauge resyncRemaining;
    private readonly Gauge resyncRate;
    private readonly Counter promotions;
    private readonly BucketHistogram latency;
    private readonly Gauge promotionDuration;

    public AgentMetrics(IVolumes volumes, CollectorRegistry registry)
    {
        this.volumes = volumes;
        this.registry = registry;
        MetricFactory make = Prometheus.Metrics.WithCustomRegistry(registry);
        inSync = make.CreateGauge("colo_volume_in_sync", "1 where the secondary holds every acknowledged write", Labels);
        connected = make.CreateGauge("colo_volume_connected", "1 where primary and secondary are connected", Labels);
        primary = make.CreateGauge("colo_volume_primary", "1 where this node's replica is the primary", Labels);
        term = make.CreateGauge("colo_volume_term", "term under which the replica was opened", Labels);
        suspended = make.CreateGauge("colo_volume_suspended", "1 while acknowledgements of writes are held", Labels);
        bytesOutOfSync = make.CreateGauge("colo_volume_bytes_out_of_sync", "bytes that the secondary misses, where known", Labels);
        requests = make.CreateCounter("colo_io_requests_total", "requests of the guest", OpLabels);
        bytes = make.CreateCounter("colo_io_bytes_total", "bytes that the guest's requests covered", OpLabels);
        latency = new(
            make, "colo_io_latency_seconds", "from receiving a request of the guest to its answer by the device", OpLabels);
        ioErrors = make.CreateCounter("colo_io_errors_total", "requests of the guest answered with an error", OpLabels);
        errors = make.CreateCounter("colo_replication_errors_total", "errors latched, by name (the seven errors)", ErrorLabels);
        checkpoints = make.CreateCounter("colo_checkpoint_total", "checkpoints completed", Labels);
        checkpointPause = new(make, "colo_checkpoint_pause_seconds", "how long checkpoints held guest writes", Labels);
        forwards = new(
            make, "colo_replication_forward_latency_seconds", "from sending a write to the secondary to its answer", Labels);
        checkpointAge = make.CreateGauge("colo_checkpoint_age_seconds", "since the last checkpoint", Labels);
        bufferBytes = make.CreateGauge("colo_buffer_bytes", "bytes that active and hidden disk take", Labels);
        bufferLimit = make.CreateGauge("colo_buffer_limit_bytes", "limit of active and hidden disk", Labels);
        resyncRatio = make.CreateGauge("colo_resync_ratio", "share of the running resync that is done; 1 where none runs", Labels);
        resyncRemaining = make.CreateGauge("colo_resync_bytes_remaining", "bytes left of the running resync", Labels);
        resyncRate = make.CreateGauge("colo_resync_bytes_per_second", "rate of the running resync", Labels);
        promotions = make.CreateCounter("colo_promotion_total", "promotions of this node's replica", Labels);
        promotionDuration = make.CreateGauge("colo_promotion_duration_seconds", "from the call to serving, last promotion", Labels);
    }

    /// <summary>Copies at each scrape from now on.</summary>
    public void Register() => registry.AddBeforeCollectCallback(Copy);

    private void Copy()
    {
        lock (guard)
        {
            HashSet<string[]> present = new(new LabelComparer());
            foreach (VolumeStatus status in volumes.Status(""))
            {
                string[] labels = [status.Name, status.Namespace, status.Node];
                present.Add(labels);
                CopyVolume(status, labels);
                CopyIo(status.Io, labels);
                if (volumes.Counters(status.Uid) is { } counters)
                {
                    CopyCounters(counters, labels);
                }
            }

            foreach (string[] gone in known.Except(present, new LabelComparer()))
            {
                Forget(gone);
            }

            known = present;
        }
    }

    private void CopyVolume(VolumeStatus status, string[] labels)
    {
        bool isPrimary = status.Role == Role.Primary;
        inSync.WithLabels(labels).Set(status.SecondaryState == SecondaryState.InSync ? 1 : 0);
        connected.WithLabels(labels).Set(status.Connected ? 1 : 0);
        primary.WithLabels(labels).Set(isPrimary ? 1 : 0);
        term.WithLabels(labels).Set(status.Term);
        suspended.WithLabels(labels).Set(status.Suspended ? 1 : 0);
        if (status.HasBytesOutOfSync)
        {
            bytesOutOfSync.WithLabels(labels).Set(status.BytesOutOfSync);
        }
        else
        {
            bytesOutOfSync.RemoveLabelled(labels);
        }

        checkpoints.WithLabels(labels).IncTo(status.CheckpointSequence);
        if (status.LastCheckpoint is { } last)
        {
            checkpointAge.WithLabels(labels).Set(Math.Max(0, (DateTime.UtcNow - last.ToDateTime()).TotalSeconds));
        }

        bufferBytes.WithLabels(labels).Set(status.BufferedBytes);
        bufferLimit.WithLabels(labels).Set(status.BufferLimitBytes);
        ResyncProgress? resync = status.Resync;
        resyncRatio.WithLabels(labels).Set(resync is { TotalBytes: > 0 } ? (double)resync.DoneBytes / resync.TotalBytes : 1);
        resyncRemaining.WithLabels(labels).Set(resync is null ? 0 : resync.TotalBytes - resync.DoneBytes);
        resyncRate.WithLabels(labels).Set(resync?.BytesPerSecond ?? 0);
        promotions.WithLabels(labels).IncTo(status.FailoverDuration is null ? 0 : 1);
        promotionDuration.WithLabels(labels).Set(status.FailoverDuration?.ToTimeSpan().TotalSeconds ?? 0);
    }

    private void CopyCounters(VolumeCounters counters, string[] labels)
    {
        foreach ((ReplicationError error, long count) in counters.Errors)
        {
            errors.WithLabels([.. labels, error.ToString()]).IncTo(count);
        }

        forwards.Copy(counters.Source, counters.Forwards, labels);
        checkpointPause.Copy(counters.Source, counters.Pauses, labels);
        foreach ((string op, NbdOperation operation) in counters.Guest is null ? [] : Operations)
        {
            latency.Copy(counters.Source, counters.Guest!.Snapshot(operation).LatencyBuckets, [.. labels, op]);
        }
    }

    private void CopyIo(IoCounters? io, string[] labels)
    {
        if (io is null)
        {
            return;
        }

        foreach ((string op, OpCounters? counters) in new[]
        {
            ("read", io.Read), ("write", io.Write), ("zero", io.Zero), ("discard", io.Discard), ("flush", io.Flush),
        })
        {
            string[] opLabels = [.. labels, op];
            requests.WithLabels(opLabels).IncTo(counters?.Requests ?? 0);
            bytes.WithLabels(opLabels).IncTo(counters?.Bytes ?? 0);
            ioErrors.WithLabels(opLabels).IncTo(counters?.Errors ?? 0);
        }
    }

    private void Forget(string[] labels)
    {
        latency.Forget(labels);
        forwards.Forget(labels);
        checkpointPause.Forget(labels);
        foreach (Gauge gauge in new[]
        {
            inSync, connected, primary, term, suspended, bytesOutOfSync, checkpointAge, bufferBytes, bufferLimit,
            resyncRatio, resyncRemaining, resyncRate, promotionDuration,
        })
        {
            gauge.RemoveLabelled(labels);
        }

        foreach (Counter counter in new[] { requests, bytes, ioErrors, errors, checkpoints, promotions })
        {
            foreach (string[] child in counter.GetAllLabelValues().Where(v => v.AsSpan(0, labels.Length).SequenceEqual(labels)).ToArray())
            {
                counter.RemoveLabelled(child);
            }
        }
    }

    private sealed class LabelComparer : IEqualityComparer<string[]>
    {
        public bool Equals(string[]? x, string[]? y) => x.AsSpan().SequenceEqual(y);

        public int GetHashCode(string[] labels) => string.Join('\0', labels).GetHashCode(StringComparison.Ordinal);
    }
}
