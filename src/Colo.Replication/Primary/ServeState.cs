namespace Colo.Replication;

/// <summary>Whether and how a primary serves its guest.</summary>
public enum ServeState
{
    /// <summary>Holds all I/O until the arbiter has confirmed that the term still stands.</summary>
    Confirming,

    /// <summary>The record says InSync, and the secondary is not attached yet (after a restart): all I/O is held,
    /// because what was in flight at the crash may differ between the two.</summary>
    Waiting,

    /// <summary>Writes go to both replicas; the secondary may be promoted, or is being filled.</summary>
    Replicating,

    /// <summary>A forward failed: reads are served, acknowledgements of writes are held until Stale is recorded.</summary>
    Suspended,

    /// <summary>Writes go to the local disk alone; the record says Stale, or None.</summary>
    Alone,

    /// <summary>A newer term exists: every request is refused with <see cref="Colo.Blocks.BlockStatus.Shutdown"/>.</summary>
    Fenced,

    /// <summary>Disposed.</summary>
    Closed,
}
