namespace Colo.Replication;

/// <summary>
/// What a replica tells of itself, for metrics, logs and Events. Called from any thread, sometimes on the I/O path: must be quick and
/// must not throw or call back into the replica (a wish for a checkpoint is to be queued).
/// </summary>
public interface IReplicationObserver
{
    /// <summary>Each occurrence of one of the seven; <paramref name="latched"/> for the first since the last checkpoint.</summary>
    void ErrorReported(LatchedError error, bool latched)
    {
    }

    void StateChanged(ReplicationState state)
    {
    }

    /// <summary>Primary: whether and how the guest is served now.</summary>
    void ServeStateChanged(ServeState state, string reason)
    {
    }

    /// <summary>Primary: this replica has changed the arbiter's record, or read a newer one.</summary>
    void RecordChanged(VolumeRecord record)
    {
    }

    void Checkpointed(CheckpointReport report)
    {
    }

    /// <summary>Secondary: the buffer asks for a checkpoint; once for each reason and epoch.</summary>
    void CheckpointWanted(CheckpointReason reason)
    {
    }

    /// <summary>Secondary: old content saved before its first overwrite.</summary>
    void CopiedBeforeWrite(long bytes)
    {
    }

    /// <summary>Primary: a resync began, went on, or ended.</summary>
    void ResyncChanged(ResyncProgress progress)
    {
    }
}

/// <summary>Does nothing; for whoever wants no news.</summary>
public sealed class SilentObserver : IReplicationObserver
{
    public static SilentObserver Instance { get; } = new();
}
