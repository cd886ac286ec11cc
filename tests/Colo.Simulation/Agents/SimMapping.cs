using Colo.AgentApi;
using Colo.Agent.Volumes;
using Google.Protobuf.WellKnownTypes;
using Rep = Colo.Replication;

namespace Colo.Simulation.Agents;

/// <summary>As the agent's ApiMapping and PrepareParser.</summary>
internal static class SimMapping
{
    public static Rep.RecoveryPoint ToReplica(RecoveryPoint point) =>
        point == RecoveryPoint.LastCheckpoint ? Rep.RecoveryPoint.LastCheckpoint : Rep.RecoveryPoint.LatestWrite;

    public static Rep.BufferFullPolicy ToReplica(BufferFullPolicy policy) =>
        policy == BufferFullPolicy.Detach ? Rep.BufferFullPolicy.Detach : Rep.BufferFullPolicy.Checkpoint;

    public static SecondaryState ToApi(Rep.SecondaryState state) => state switch
    {
        Rep.SecondaryState.None => SecondaryState.None,
        Rep.SecondaryState.Syncing => SecondaryState.Syncing,
        Rep.SecondaryState.InSync => SecondaryState.InSync,
        _ => SecondaryState.Stale,
    };

    public static LatchedError? ToApi(Rep.LatchedError? error) => error is null
        ? null
        : new() { Number = (int)error.Number, Name = error.Number.ToString(), Message = error.Message, When = Timestamp.FromDateTimeOffset(error.When) };

    public static ResyncProgress? ToApi(Rep.ResyncProgress? progress) => progress is not { State: Rep.ResyncState.Copying }
        ? null
        : new() { TotalBytes = progress.TotalBytes, DoneBytes = progress.DoneBytes, BytesPerSecond = progress.BytesPerSecond };

    public static CheckpointReply ToApi(Rep.CheckpointReport report) =>
        new() { Sequence = report.Epoch, Pause = Duration.FromTimeSpan(report.Pause), Time = Timestamp.FromDateTimeOffset(report.When) };

    public static VolumeFaultException ToFault(Rep.ReplicationException e) => new(
        e.Fault switch
        {
            Rep.ReplicationFault.StaleTerm or Rep.ReplicationFault.Superseded => VolumeFaultKind.StaleTerm,
            Rep.ReplicationFault.WrongState or Rep.ReplicationFault.Mismatch or Rep.ReplicationFault.Unrelated or Rep.ReplicationFault.NeedsResync => VolumeFaultKind.Precondition,
            Rep.ReplicationFault.Arbiter => VolumeFaultKind.Unavailable,
            _ => VolumeFaultKind.Failed,
        },
        e.Message,
        e);

    public static PeerSpec? ToPeer(Peer? peer) => peer is null ? null : new(peer.Node, peer.ReplicationAddress, peer.ExportName, peer.QmpAddress);

    public static ReplicaSpec ToSpec(PrepareRequest request) => new(
        request.Volume.Uid,
        request.Volume.Term,
        request.Role,
        request.Name,
        request.Namespace,
        request.SizeBytes,
        request.Pool,
        new(request.Buffer.Medium, request.Buffer.LimitBytes, request.Buffer.OnFull),
        request.RecoveryPoint,
        ToPeer(request.Peer),
        "",
        request.Resync?.MaxBytesPerSecond ?? 0,
        request.PlainExportName,
        GuestTcp: false);

    public static async Task Calling(Func<Task> call)
    {
        try
        {
            await call();
        }
        catch (Rep.ReplicationException e)
        {
            throw ToFault(e);
        }
    }
}
