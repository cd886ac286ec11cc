using Colo.Agent.Cluster;
using Colo.Agent.Hosting;
using Colo.Agent.Options;
using Colo.Agent.Pools;
using Prometheus;

namespace Colo.Agent.Metrics;

/// <summary>What /metrics says of the node: its pools, its Lease, its certificate, and whom it did not believe. Copied at each scrape.</summary>
public sealed class NodeMetrics
{
    private static readonly string[] Node = ["node"];

    private readonly AgentOptions options;
    private readonly PoolProbe pools;
    private readonly NodeLease lease;
    private readonly CertificateFiles certificates;
    private readonly PeerNames peers;
    private readonly CollectorRegistry registry;
    private readonly Gauge poolHealthy;
    private readonly Gauge poolFree;
    private readonly Gauge poolTotal;
    private readonly Gauge leaseHeld;
    private readonly Gauge certificateEnd;
    private readonly Counter refused;

    public NodeMetrics(
        AgentOptions options, PoolProbe pools, NodeLease lease, CertificateFiles certificates, PeerNames peers, CollectorRegistry registry)
    {
        (this.options, this.pools, this.lease, this.certificates, this.peers) = (options, pools, lease, certificates, peers);
        this.registry = registry;
        MetricFactory make = Prometheus.Metrics.WithCustomRegistry(registry);
        string[] pool = [.. Node, "pool"];
        poolHealthy = make.CreateGauge("colo_pool_healthy", "1 where the last small write and fdatasync succeeded in time", pool);
        poolFree = make.CreateGauge("colo_pool_free_bytes", "free bytes of the pool's file system", pool);
        poolTotal = make.CreateGauge("colo_pool_total_bytes", "size of the pool's file system", pool);
        leaseHeld = make.CreateGauge("colo_agent_lease_held", "1 where the node's Lease was renewed at the last attempt", Node);
        certificateEnd = make.CreateGauge("colo_certificate_expiry_timestamp_seconds", "when the agent's own certificate ends", Node);
        refused = make.CreateCounter(
            "colo_tls_refused_total", "TLS handshakes and callers refused by their certificates, by where", [.. Node, "where"]);
    }

    /// <summary>Copies at each scrape from now on.</summary>
    public void Register() => registry.AddBeforeCollectCallback(Copy);

    private void Copy()
    {
        foreach (PoolHealth pool in pools.All)
        {
            string[] labels = [options.NodeName, pool.Name];
            poolHealthy.WithLabels(labels).Set(pool.IsHealthy ? 1 : 0);
            poolFree.WithLabels(labels).Set(pool.FreeBytes);
            poolTotal.WithLabels(labels).Set(pool.TotalBytes);
        }

        if (lease.State != NodeLeaseState.None)
        {
            leaseHeld.WithLabels(options.NodeName).Set(lease.State == NodeLeaseState.Held ? 1 : 0);
        }

        if (certificates.IsEnabled)
        {
            certificateEnd.WithLabels(options.NodeName).Set(new DateTimeOffset(certificates.Current.NotAfter).ToUnixTimeSeconds());
            foreach (string where in new[] { PeerNames.Grpc, PeerNames.Replication, PeerNames.Outgoing, PeerNames.Guest })
            {
                refused.WithLabels(options.NodeName, where).IncTo(peers.Refusals.GetValueOrDefault(where));
            }
        }
    }
}
