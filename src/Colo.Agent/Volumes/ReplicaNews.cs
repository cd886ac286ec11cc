using System.Collections.Concurrent;
using Colo.Nbd;
using Colo.Replication;

namespace Colo.Agent.Volumes;

/// <summary>Logs what a replica tells of itself and keeps what its status and metrics show of it.</summary>
public sealed class ReplicaNews(ILogger log, string uid, long term) : IReplicationObserver
{
    private readonly ConcurrentDictionary<ReplicationError, long> errors = new();
    private readonly long[] pauses = new long[LatencyBuckets.Count];
    private long checkpoints;
    private int wanted;
    private string lastState = nameof(ReplicationState.None);

    public long Checkpoints => Interlocked.Read(ref checkpoints);

    /// <summary>The buffer asks for a checkpoint, and none was completed since.</summary>
    public bool IsCheckpointWanted => Volatile.Read(ref wanted) != 0;

    /// <summary>How often each of the seven occurred under this service.</summary>
    public IReadOnlyDictionary<ReplicationError, long> Errors => errors;

    /// <summary>Checkpoints by the time for which they held guest writes, see <see cref="LatencyBuckets"/>.</summary>
    public IReadOnlyList<long> Pauses
    {
        get
        {
            lock (pauses)
            {
                return [.. pauses];
            }
        }
    }

    public void ErrorReported(LatchedError error, bool latched)
    {
        errors.AddOrUpdate(error.Number, 1, static (_, count) => count + 1);
        if (latched)
        {
            log.ErrorLatched(uid, term, (int)error.Number, error.Number.ToString(), error.Message);
        }
    }

    public void StateChanged(ReplicationState state) => Changed(state.ToString(), "");

    public void ServeStateChanged(ServeState state, string reason) => Changed(state.ToString(), reason);

    public void RecordChanged(VolumeRecord record) =>
        log.RecordChanged(uid, record.Term.Value, record.Primary, record.Secondary, record.SecondaryState);

    public void Checkpointed(CheckpointReport report)
    {
        Interlocked.Increment(ref checkpoints);
        Volatile.Write(ref wanted, 0);
        lock (pauses)
        {
            pauses[LatencyBuckets.IndexOf(report.Pause.TotalMicroseconds)]++;
        }
    }

    public void CheckpointWanted(CheckpointReason reason)
    {
        Volatile.Write(ref wanted, 1);
        log.BufferPressure(uid, term, reason);
    }

    public void ResyncChanged(ResyncProgress progress)
    {
        if (progress.State != ResyncState.Copying)
        {
            log.ResyncEnded(uid, term, progress.Mode, progress.DoneBytes, progress.State, progress.Failure ?? "");
        }
    }

    private void Changed(string to, string reason) => log.StateChanged(uid, term, Interlocked.Exchange(ref lastState, to), to, reason);
}
