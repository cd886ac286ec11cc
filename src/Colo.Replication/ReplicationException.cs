namespace Colo.Replication;

/// <summary>Why one of the four calls was refused or failed.</summary>
public enum ReplicationFault
{
    /// <summary>The call carries a lower term than this node has seen.</summary>
    StaleTerm,

    /// <summary>A newer term exists: this replica no longer serves.</summary>
    Superseded,

    /// <summary>The call is not allowed in the present state; the message names what is missing.</summary>
    WrongState,

    /// <summary>Disks that do not belong together (lengths differ, cannot be emptied).</summary>
    Mismatch,

    /// <summary>The secondary's content is not known here, or is newer: it is not overwritten unless somebody says so.</summary>
    Unrelated,

    /// <summary>The secondary is not what the record says; it must be recorded as Stale and be brought in sync.</summary>
    NeedsResync,

    /// <summary>The checkpoint did not happen; the message says why, <see cref="ReplicationException.Error"/> what was latched.</summary>
    CheckpointFailed,

    /// <summary>The arbiter did not answer, or refused; try again.</summary>
    Arbiter,

    /// <summary>One of the seven errors ended the call.</summary>
    Failed,
}

/// <summary>A call was refused or failed. Never thrown on the I/O path.</summary>
public class ReplicationException(ReplicationFault fault, string message, LatchedError? error = null, Exception? inner = null)
    : Exception(message, inner)
{
    public ReplicationFault Fault { get; } = fault;

    /// <summary>The latched error behind it, where there is one.</summary>
    public LatchedError? Error { get; } = error;
}

/// <summary>A call of a term that is over.</summary>
public sealed class StaleTermException(Term given, Term seen)
    : ReplicationException(ReplicationFault.StaleTerm, $"{given} is over: this node has seen {seen}")
{
    public Term Given { get; } = given;

    public Term Seen { get; } = seen;
}
