using Google.Protobuf.WellKnownTypes;
using Api = Colo.AgentApi;

namespace Colo.Agent.Volumes;

/// <summary>The words of the replicas in the words of the gRPC contract, and back; nothing else knows both spellings.</summary>
internal static class ApiMapping
{
    public static Api.SecondaryState ToApi(Replication.SecondaryState state) => state switch
    {
        Replication.SecondaryState.None => Api.SecondaryState.None,
        Replication.SecondaryState.Syncing => Api.SecondaryState.Syncing,
        Replication.SecondaryState.InSync => Api.SecondaryState.InSync,
        Replication.SecondaryState.Stale => Api.SecondaryState.Stale,
        _ => throw new ArgumentOutOfRangeException(nameof(state), state, null),
    };

    public static Replication.SecondaryState ToReplica(Api.SecondaryState state) => state switch
    {
        Api.SecondaryState.None => Replication.SecondaryState.None,
        Api.SecondaryState.Syncing => Replication.SecondaryState.Syncing,
        Api.SecondaryState.InSync => Replication.SecondaryState.InSync,
        Api.SecondaryState.Stale => Replication.SecondaryState.Stale,
        _ => throw new ArgumentOutOfRangeException(nameof(state), state, null),
    };

    public static Replication.RecoveryPoint ToReplica(Api.RecoveryPoint point) => point switch
    {
        Api.RecoveryPoint.LatestWrite => Replication.RecoveryPoint.LatestWrite,
        Api.RecoveryPoint.LastCheckpoint => Replication.RecoveryPoint.LastCheckpoint,
        _ => throw new ArgumentOutOfRangeException(nameof(point), point, null),
    };

    public static Replication.BufferFullPolicy ToReplica(Api.BufferFullPolicy policy) =>
        policy == Api.BufferFullPolicy.Detach ? Replication.BufferFullPolicy.Detach : Replication.BufferFullPolicy.Checkpoint;

    public static Api.LatchedError? ToApi(Replication.LatchedError? error) => error is null
        ? null
        : new()
        {
            Number = (int)error.Number,
            Name = error.Number.ToString(),
            Message = error.Message,
            When = Timestamp.FromDateTimeOffset(error.When),
        };

    public static Api.ResyncProgress? ToApi(Replication.ResyncProgress? progress) =>
        progress is not { State: Replication.ResyncState.Copying }
            ? null
            : new()
            {
                TotalBytes = progress.TotalBytes,
                DoneBytes = progress.DoneBytes,
                BytesPerSecond = progress.BytesPerSecond,
                Mode = progress.Mode == Replication.ResyncMode.Full ? Api.ResyncMode.Full : Api.ResyncMode.Bitmap,
                Started = Timestamp.FromDateTimeOffset(progress.Started),
            };

    public static Api.CheckpointReply ToApi(Replication.CheckpointReport report) => new()
    {
        Sequence = report.Epoch,
        Pause = Duration.FromTimeSpan(report.Pause),
        Time = Timestamp.FromDateTimeOffset(report.When),
    };

    public static void Fill(Api.VolumeStatus status, Replication.CheckpointReport? last)
    {
        if (last is not null)
        {
            status.LastCheckpoint = Timestamp.FromDateTimeOffset(last.When);
            status.LastPause = Duration.FromTimeSpan(last.Pause);
        }
    }

    /// <summary>A refusal of the replication room in the agent's words.</summary>
    public static VolumeFaultException ToFault(Replication.ReplicationException e) => new(
        e.Fault switch
        {
            Replication.ReplicationFault.StaleTerm or Replication.ReplicationFault.Superseded => VolumeFaultKind.StaleTerm,
            Replication.ReplicationFault.WrongState or Replication.ReplicationFault.Mismatch or Replication.ReplicationFault.Unrelated
                or Replication.ReplicationFault.NeedsResync => VolumeFaultKind.Precondition,
            Replication.ReplicationFault.Arbiter => VolumeFaultKind.Unavailable,
            _ => VolumeFaultKind.Failed,
        },
        e.Error is null || e.Message.Contains(e.Error.Message, StringComparison.Ordinal) ? e.Message : $"{e.Message} ({e.Error})",
        e);
}
