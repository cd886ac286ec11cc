using Colo.Blocks;

namespace Colo.Replication;

/// <summary>Keeps the first error until a checkpoint takes it away; reports each one.</summary>
internal sealed class ErrorLatch(TimeProvider time, IReplicationObserver observer)
{
    private LatchedError? first;

    public LatchedError? First => Volatile.Read(ref first);

    /// <summary>Returns what is latched now: this error, or the one that came before.</summary>
    public LatchedError Report(ReplicationError number, BlockStatus status, string message)
    {
        LatchedError error = new(number, status, message, time.GetUtcNow());
        LatchedError? earlier = Interlocked.CompareExchange(ref first, error, null);
        observer.ErrorReported(error, latched: earlier is null);
        return earlier ?? error;
    }

    /// <summary>For a completed checkpoint: what was latched before it began is over; what came since belongs to the new epoch.</summary>
    public void ClearIf(LatchedError? before)
    {
        if (before is not null)
        {
            Interlocked.CompareExchange(ref first, null, before);
        }
    }
}
