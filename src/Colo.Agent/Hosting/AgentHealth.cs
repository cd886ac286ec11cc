using Colo.Agent.Pools;
using Colo.Agent.Volumes;
using Microsoft.Extensions.Diagnostics.HealthChecks;

namespace Colo.Agent.Hosting;

/// <summary>Ready: every pool takes a small write in time, and adoption is over. A faulted volume does not make the node unready: the
/// others are served.</summary>
public sealed class AgentHealth(PoolProbe pools, VolumeCatalog volumes) : IHealthCheck
{
    public Task<HealthCheckResult> CheckHealthAsync(HealthCheckContext context, CancellationToken cancellationToken = default)
    {
        string[] faults = [.. pools.All.Where(p => !p.IsHealthy).Select(p => $"pool {p.Name}: {p.Message}")];
        return Task.FromResult(
            faults.Length > 0 ? HealthCheckResult.Unhealthy(string.Join("; ", faults))
            : !pools.IsHealthy ? HealthCheckResult.Unhealthy("pools are not probed yet")
            : !volumes.IsAdopted ? HealthCheckResult.Unhealthy("volumes are being adopted")
            : HealthCheckResult.Healthy());
    }
}
