using Colo.AgentApi;
using Colo.Control;
using Api = Colo.Api;

namespace Colo.Driver;

/// <summary>Between the agents' wire words and the control plane's own; a word that one side lacks is a visible error here.</summary>
public static class Translate
{
    public static Api.SecondaryState ToApi(SecondaryState state) => state switch
    {
        SecondaryState.InSync => Api.SecondaryState.InSync,
        SecondaryState.Syncing => Api.SecondaryState.Syncing,
        SecondaryState.Stale => Api.SecondaryState.Stale,
        _ => Api.SecondaryState.None,
    };

    public static SecondaryState ToAgent(Api.SecondaryState state) => state switch
    {
        Api.SecondaryState.InSync => SecondaryState.InSync,
        Api.SecondaryState.Syncing => SecondaryState.Syncing,
        Api.SecondaryState.Stale => SecondaryState.Stale,
        _ => SecondaryState.None,
    };

    public static RecoveryPoint ToAgent(Api.RecoveryPoint point) =>
        point == Api.RecoveryPoint.LatestWrite ? RecoveryPoint.LatestWrite : RecoveryPoint.LastCheckpoint;

    public static BufferMedium ToAgent(Api.BufferMedium medium) =>
        medium == Api.BufferMedium.Memory ? BufferMedium.Memory : BufferMedium.Disk;

    public static BufferFullPolicy ToAgent(Api.BufferFullPolicy policy) =>
        policy == Api.BufferFullPolicy.Checkpoint ? BufferFullPolicy.Checkpoint : BufferFullPolicy.Detach;

    public static Api.ReplicaRole ToApi(Role role) => role switch
    {
        Role.Primary => Api.ReplicaRole.Primary,
        Role.Secondary => Api.ReplicaRole.Secondary,
        _ => Api.ReplicaRole.None,
    };

    public static ReplicaStage ToStage(ReplicaState state) => state switch
    {
        ReplicaState.Prepared => ReplicaStage.Prepared,
        ReplicaState.WaitingArbiter => ReplicaStage.WaitingArbiter,
        ReplicaState.Syncing => ReplicaStage.Syncing,
        ReplicaState.Running => ReplicaStage.Running,
        ReplicaState.Alone => ReplicaStage.Alone,
        ReplicaState.FailingOver => ReplicaStage.FailingOver,
        ReplicaState.FailoverFailed => ReplicaStage.FailoverFailed,
        ReplicaState.Done => ReplicaStage.Done,
        ReplicaState.Fenced => ReplicaStage.Fenced,
        ReplicaState.Faulted => ReplicaStage.Faulted,
        _ => ReplicaStage.Absent,
    };

    public static VolumeRecord ToRecord(string uid, VolumeTruth truth) =>
        new(uid, truth.Term, truth.Primary, truth.Secondary, ToAgent(truth.SecondaryState));

    /// <summary>A secondary that fills up through its primary's copy says Running itself; only the primary knows of the copy.</summary>
    public static ReplicaView ToView(string node, VolumeStatus status, TimeSpan sinceCheckpoint) => new(node, TimeSpan.Zero)
    {
        Role = ToApi(status.Role),
        Stage = ToStage(status.State),
        Term = status.Term,
        Connected = status.Connected,
        PeerNode = status.Peer?.Node is { Length: > 0 } peer ? peer : null,
        Suspended = status.Suspended,
        ResyncRatio = status.Resync is { TotalBytes: > 0 } resync ? (double)resync.DoneBytes / resync.TotalBytes : null,
        BufferedBytes = status.BufferedBytes,
        BufferLimitBytes = status.BufferLimitBytes,
        Checkpoints = status.CheckpointSequence,
        CheckpointWanted = status.CheckpointWanted,
        HoldsOlder = status.HoldsOlder,
        AttachFailure = status.AttachFailure,
        SinceCheckpoint = sinceCheckpoint,
        SizeBytes = status.SizeBytes,
        Pool = status.Pool,
        Error = status.Fault.Length > 0 ? status.Fault : status.Error?.Message,
    };
}
