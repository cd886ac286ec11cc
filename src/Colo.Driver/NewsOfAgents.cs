using Colo.AgentApi;

namespace Colo.Driver;

/// <summary>Whether a status holds news that a control plane would act on or show. Counters and bytes move all the time and are none.</summary>
internal static class NewsOfAgents
{
    public static bool Differs(VolumeStatus before, VolumeStatus now) =>
        before.Role != now.Role || before.State != now.State || before.Term != now.Term || before.SecondaryState != now.SecondaryState ||
        before.Connected != now.Connected || before.Suspended != now.Suspended || before.Fault != now.Fault || !Equals(before.Error, now.Error) ||
        before.CheckpointWanted != now.CheckpointWanted || before.HoldsOlder != now.HoldsOlder ||
        !Equals(before.Endpoints, now.Endpoints) || before.Generation != now.Generation ||
        before.AttachFailure != now.AttachFailure || before.RecordRevision != now.RecordRevision || (before.Resync is null) != (now.Resync is null) ||
        before.SizeBytes != now.SizeBytes;

    public static bool Differs(NodeStatus before, NodeStatus now) =>
        before.Instance != now.Instance || before.BootId != now.BootId || before.ReplicationAddress != now.ReplicationAddress ||
        before.GuestAddress != now.GuestAddress || before.Version != now.Version ||
        !before.Pools.Select(p => (p.Name, p.Healthy, p.Message)).SequenceEqual(now.Pools.Select(p => (p.Name, p.Healthy, p.Message)));
}
