using Colo.AgentApi;

namespace Colo.Operator.Agents;

/// <summary>
/// Tells what a volume must be looked at for from what only counts on. Thousands of volumes report their counters a few times a second;
/// a round is worth its work only for what may change a decision or a condition.
/// </summary>
internal static class VolumeNews
{
    /// <summary>A copy's progress is news in steps of this many per cent.</summary>
    private const int ProgressStep = 5;

    public static bool Matters(VolumeStatus before, VolumeStatus now) =>
        before.Role != now.Role || before.State != now.State || before.Term != now.Term
        || before.SecondaryState != now.SecondaryState || before.RecordRevision != now.RecordRevision
        || before.Connected != now.Connected || before.Suspended != now.Suspended
        || before.CheckpointWanted != now.CheckpointWanted
        || before.Fault != now.Fault || !Equals(before.Error, now.Error) || before.AttachFailure != now.AttachFailure
        || before.Generation != now.Generation || before.SizeBytes != now.SizeBytes || !Equals(before.Endpoints, now.Endpoints)
        || Progress(before.Resync) != Progress(now.Resync);

    /// <summary>Free space and latencies count on; health, address and process do not.</summary>
    public static bool Matters(NodeStatus before, NodeStatus now) =>
        before.Instance != now.Instance || before.BootId != now.BootId || before.Version != now.Version
        || before.ReplicationAddress != now.ReplicationAddress || before.GuestAddress != now.GuestAddress
        || !before.Pools.Select(p => (p.Name, p.Healthy)).SequenceEqual(now.Pools.Select(p => (p.Name, p.Healthy)));

    private static long Progress(ResyncProgress? resync) => resync is { TotalBytes: > 0 }
        ? resync.DoneBytes * 100 / resync.TotalBytes / ProgressStep
        : -1;
}
