using System.Collections.Concurrent;
using Colo.Api;
using Colo.Driver;

namespace Colo.Operator.Cluster;

/// <summary>
/// Agents that renew their Lease and cannot be talked to: not dead, and nothing for the failure detector, but for a person, who is told
/// why (certificates above all).
/// </summary>
internal sealed class UnreachableAgents(ClusterWatch cluster, TimeProvider time, AgentTls? tls = null)
{
    public const string Reason = "AgentUnreachable";

    private const int MostNamed = 3;
    private static readonly TimeSpan RenewsWithin = TimeSpan.FromSeconds(3);

    /// <summary>A restart is over by then.</summary>
    private static readonly TimeSpan NotAnsweringFor = TimeSpan.FromSeconds(5);

    private readonly ConcurrentDictionary<string, long> since = new(StringComparer.Ordinal);

    public ReplicatedVolumeStatus Note(ReplicatedVolumeStatus status, IEnumerable<string> nodes)
    {
        string[] faults = [.. nodes.Order(StringComparer.Ordinal).Select(Fault).OfType<string>()];
        if (faults.Length == 0)
        {
            return status;
        }

        // Agents that refuse us only hang up. Where our own certificate is the reason, it is the first thing to read.
        string text = string.Join("; ", new[] { tls?.OwnFault() }.OfType<string>().Concat(faults.Take(MostNamed)))
            + (faults.Length > MostNamed ? $"; and {faults.Length - MostNamed} more" : "");
        return status with
        {
            Message = $"{status.Message}; {text}",
            Conditions = [.. status.Conditions.Select(c => c is { Type: ConditionType.Ready or ConditionType.Protected, Status: not "True" }
                ? c with { Reason = Reason, Message = $"{c.Message}; {text}" }
                : c)],
        };
    }

    private string? Fault(string name)
    {
        AgentNode node = cluster.Agents.Describe(name);
        if (node.Answers)
        {
            since.TryRemove(name, out _);
            return null;
        }

        long first = since.GetOrAdd(name, _ => time.GetTimestamp());
        return node.Fault is not null && node.SilentFor <= RenewsWithin && time.GetElapsedTime(first) >= NotAnsweringFor ? $"{name}: {node.Fault}" : null;
    }
}
