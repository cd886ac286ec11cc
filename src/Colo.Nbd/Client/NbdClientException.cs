using Colo.Nbd.Wire;

namespace Colo.Nbd.Client;

/// <summary>What went wrong with a connection; a failed request is a status, not this.</summary>
public enum NbdClientErrorKind
{
    /// <summary>No connection to the endpoint, or it ended.</summary>
    Unreachable,

    /// <summary>The server's bytes are not NBD.</summary>
    BadMagic,

    /// <summary>A reply to no request of ours.</summary>
    UnknownCookie,

    /// <summary>A length that the message cannot have, or above our limits.</summary>
    BadLength,

    /// <summary>A reply or chunk that the request, or what was negotiated, does not allow.</summary>
    UnexpectedReply,

    /// <summary>The server said no; <see cref="NbdClientException.Refusal"/> says how.</summary>
    Refused,

    /// <summary>TLS is required and was not asked for, is not offered, or its handshake failed.</summary>
    Tls,

    /// <summary>Handshake or a request took longer than allowed.</summary>
    Timeout,

    /// <summary>After a reconnect it is another disk.</summary>
    ExportChanged,

    /// <summary>Disposed by its owner.</summary>
    Closed,

    /// <summary>A fault of this client.</summary>
    InternalFault,
}

/// <summary>A connection could not be made, or ended, and why.</summary>
public sealed class NbdClientException : Exception
{
    public NbdClientException(NbdClientErrorKind kind, string message, Exception? inner = null)
        : base(message, inner) => Kind = kind;

    public NbdClientException(NbdOptionReply refusal, string message)
        : base(message) => (Kind, Refusal) = (refusal == NbdOptionReply.ErrorTlsRequired ? NbdClientErrorKind.Tls : NbdClientErrorKind.Refused, refusal);

    public NbdClientErrorKind Kind { get; }

    /// <summary>The server's option reply, where it refused.</summary>
    public NbdOptionReply? Refusal { get; }

    /// <summary>The peer breaks the protocol or is not what we were promised: trying again cannot help.</summary>
    internal bool IsFinal => Kind is not (NbdClientErrorKind.Unreachable or NbdClientErrorKind.Timeout);
}
