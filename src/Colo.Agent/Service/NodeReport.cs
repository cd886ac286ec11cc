using Colo.Agent.Cluster;
using Colo.Agent.Options;
using Colo.Agent.Pools;
using Colo.Agent.Volumes;
using Colo.AgentApi;
using Google.Protobuf.WellKnownTypes;

namespace Colo.Agent.Service;

/// <summary>What this agent says of its node: in Status, and as the heartbeat of each Watch.</summary>
public sealed class NodeReport(
    AgentOptions options,
    AgentIdentity identity,
    BoundAddresses addresses,
    PoolProbe pools,
    IVolumes volumes,
    IHostApplicationLifetime lifetime)
{
    public static string Version { get; } = typeof(NodeReport).Assembly.GetName().Version?.ToString(3) ?? "0";

    public NodeStatus Now()
    {
        NodeStatus node = new()
        {
            Node = options.NodeName,
            Version = Version,
            ReplicationAddress = addresses.Replication,
            GuestAddress = addresses.Guest,
            Instance = identity.Instance,
            BootId = BootId.Current,
            Started = Timestamp.FromDateTimeOffset(identity.Started),
            ApiLevel = AgentApiLevel.Current,
            Stopping = lifetime.ApplicationStopping.IsCancellationRequested,
        };
        node.Pools.AddRange(pools.All.Select(p => new PoolStatus
        {
            Name = p.Name,
            Directory = p.Directory,
            Healthy = p.IsHealthy,
            Message = p.Message,
            ProbeLatency = Duration.FromTimeSpan(p.Latency),
            FreeBytes = p.FreeBytes,
            TotalBytes = p.TotalBytes,
            ProvisionedBytes = volumes.ProvisionedBytes(p.Name),
        }));
        return node;
    }
}
