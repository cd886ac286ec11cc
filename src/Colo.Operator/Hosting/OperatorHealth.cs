using Colo.Operator.Cluster;
using Microsoft.Extensions.Diagnostics.HealthChecks;

namespace Colo.Operator.Hosting;

/// <summary>Ready: it has seen the cluster, and heard its agents. Leader and standby alike: a standby that is ready takes over at once.</summary>
internal sealed class OperatorHealth(ClusterWatch cluster, LeaderElection election) : IHealthCheck
{
    public Task<HealthCheckResult> CheckHealthAsync(HealthCheckContext context, CancellationToken cancellationToken = default) =>
        Task.FromResult(cluster.Heard.IsCompletedSuccessfully
            ? HealthCheckResult.Healthy(election.IsLeader ? "leads" : "stands by")
            : HealthCheckResult.Unhealthy("the cluster was not seen yet"));
}
