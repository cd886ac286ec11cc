namespace Colo.Agent.Volumes;

/// <summary>Why a call on a volume is refused; the service maps each to one gRPC status.</summary>
public enum VolumeFaultKind
{
    /// <summary>The caller's term is lower than one seen before.</summary>
    StaleTerm,

    /// <summary>Wrong role, wrong order, or the arbiter's record says otherwise.</summary>
    Precondition,

    NotFound,

    /// <summary>A field of the request; the message names it and what it allows.</summary>
    InvalidArgument,

    AlreadyExists,

    /// <summary>The peer or the arbiter does not answer: the same call may succeed later.</summary>
    Unavailable,

    Exhausted,

    /// <summary>The replica's files are damaged or of a newer version.</summary>
    Damaged,

    /// <summary>A checkpoint or a failover failed.</summary>
    Failed,
}

/// <summary>A call that a volume refuses, with a sentence for a person. Never thrown on the I/O path.</summary>
public sealed class VolumeFaultException : Exception
{
    public VolumeFaultException(VolumeFaultKind kind, string message, Exception? cause = null)
        : base(message, cause) => Kind = kind;

    public VolumeFaultKind Kind { get; }
}
