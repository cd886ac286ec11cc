using Colo.Agent.Cluster;
using Colo.Agent.Pools;
using Colo.Agent.Volumes;
using Microsoft.Extensions.Diagnostics.HealthChecks;

namespace Colo.Agent.Hosting;

/// <summary>Ready: every pool takes a small write in time, adoption is over, and nobody else bears the node's name. A faulted volume does not
/// make the node unready, the others are served; nor does an API server that is away.</summary>
public sealed class AgentHealth(PoolProbe pools, VolumeCatalog volumes, NodeLease lease) : IHealthCheck
{
    public Task<HealthCheckResult> CheckHealthAsync(HealthCheckContext context, CancellationToken cancellationToken = default)
    {
        string[] faults = [.. pools.All.Where(p => !p.IsHealthy).Select(p => $"pool {p.Name}: {p.Message}")];
        return Task.FromResult(
            faults.Length > 0 ? HealthCheckResult.Unhealthy(string.Join("; ", faults))
            : !pools.IsHealthy ? HealthCheckResult.Unhealthy("pools are not probed yet")
            : lease.State == NodeLeaseState.HeldByAnother ? HealthCheckResult.Unhealthy("another live agent has this node's name")
            : !volumes.IsAdopted ? HealthCheckResult.Unhealthy("volumes are being adopted")
            : HealthCheckResult.Healthy());
    }
}
