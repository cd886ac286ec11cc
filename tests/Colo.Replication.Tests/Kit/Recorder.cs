using System.Collections.Concurrent;

namespace Colo.Replication.Tests.Kit;

public sealed class Recorder : IReplicationObserver
{
    public ConcurrentQueue<LatchedError> Errors { get; } = [];

    public ConcurrentQueue<ReplicationState> States { get; } = [];

    public ConcurrentQueue<ServeState> Serves { get; } = [];

    public ConcurrentQueue<CheckpointReason> Wanted { get; } = [];

    public ConcurrentQueue<ResyncProgress> Progress { get; } = [];

    public long CopiedBytes;

    public Action<CheckpointReason>? OnWanted { get; set; }

    public void ErrorReported(LatchedError error, bool latched) => Errors.Enqueue(error);

    public void StateChanged(ReplicationState state) => States.Enqueue(state);

    public void ServeStateChanged(ServeState state, string reason) => Serves.Enqueue(state);

    public void CheckpointWanted(CheckpointReason reason)
    {
        Wanted.Enqueue(reason);
        OnWanted?.Invoke(reason);
    }

    public void CopiedBeforeWrite(long bytes) => Interlocked.Add(ref CopiedBytes, bytes);

    public void ResyncChanged(ResyncProgress progress) => Progress.Enqueue(progress);
}
