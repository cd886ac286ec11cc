using System.Collections.Immutable;
using Colo.AgentApi;
using Colo.Api;
using Colo.Control;
using Colo.Driver;
using Colo.Kubernetes;
using k8s.Models;

namespace Colo.Operator.Cluster;

/// <summary>
/// The nodes as placement sees them: labels and cordons from the API, pools and life from the agents, how many replicas each holds from the
/// volumes. Put together anew at most once a second, whatever the number of rounds that ask.
/// </summary>
public sealed class NodeBoard(ClusterWatch cluster, TimeProvider time)
{
    /// <summary>On a Node, with the value "true": no replica shall be there.</summary>
    public const string ExcludedLabel = "colo.dev/excluded";

    private static readonly TimeSpan Freshness = TimeSpan.FromSeconds(1);

    private readonly Lock guard = new();
    private IReadOnlyList<NodeFacts>? latest;
    private long madeAt;

    /// <summary>Null: not all of them are known yet.</summary>
    public IReadOnlyList<NodeFacts>? Facts()
    {
        if (!cluster.Synced.IsCompletedSuccessfully)
        {
            return null;
        }

        lock (guard)
        {
            if (latest is null || time.GetElapsedTime(madeAt) >= Freshness)
            {
                latest = Make();
                madeAt = time.GetTimestamp();
            }

            return latest;
        }
    }

    private ImmutableArray<NodeFacts> Make()
    {
        Dictionary<string, V1Node> nodes = cluster.Nodes.ToDictionary(n => n.Metadata.Name, n => n.Value, StringComparer.Ordinal);
        ILookup<string, Resource<ReplicatedVolume>> primaries = cluster.Volumes.ToLookup(v => v.Value.Status?.CurrentPrimary ?? "", StringComparer.Ordinal);
        ILookup<string, Resource<ReplicatedVolume>> secondaries = cluster.Volumes.ToLookup(v => v.Value.Status?.CurrentSecondary ?? "", StringComparer.Ordinal);

        // An agent whose Node object is missing counts while it answers: outside a cluster of kubelets there are none.
        IEnumerable<string> names = nodes.Keys.Union(cluster.Agents.Nodes.Where(n => cluster.Agents.Describe(n).Answers), StringComparer.Ordinal);
        return
        [
            .. names.Order(StringComparer.Ordinal).Select(name => Describe(name, nodes.GetValueOrDefault(name)) with
            {
                Primaries = primaries[name].Count(),
                Secondaries = secondaries[name].Count(),
            }),
        ];
    }

    private NodeFacts Describe(string name, V1Node? node)
    {
        AgentNode agent = cluster.Agents.Describe(name);
        Dictionary<string, string> labels = new(node?.Metadata.Labels ?? new Dictionary<string, string>(), StringComparer.Ordinal);
        labels.TryAdd("kubernetes.io/hostname", name);
        return new NodeFacts(name)
        {
            Labels = labels,
            AgentAnswers = agent.Answers,
            Schedulable = node?.Spec?.Unschedulable != true,
            Excluded = labels.GetValueOrDefault(ExcludedLabel) == "true",
            Pools = (agent.Status?.Pools ?? []).ToDictionary(p => p.Name, Describe, StringComparer.Ordinal),
        };
    }

    private static PoolFacts Describe(PoolStatus pool) =>
        new(Math.Min(pool.FreeBytes, pool.TotalBytes - pool.ProvisionedBytes), pool.Healthy);
}
