using Colo.Nbd.Wire;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace Colo.Nbd.Client;

/// <summary>Everything one client connection is made from. Immutable; checked before anything is opened.</summary>
public sealed record NbdClientOptions
{
    public required NbdEndpoint Endpoint { get; init; }

    /// <summary>Needed where the endpoint uses TLS, unless its URI names a directory of certificates.</summary>
    public NbdTlsClientOptions? Tls { get; init; }

    /// <summary>Requests on the wire at a time, 1 to 4096. More wait, in order, without blocking a thread.</summary>
    public int MaxInFlight { get; init; } = 128;

    /// <summary>Requests that may wait for a place on the wire; one more answers <c>OutOfMemory</c>.</summary>
    public int MaxWaiting { get; init; } = 65536;

    /// <summary>The largest read or write payload of one request, before the server's own limit cuts it further.</summary>
    public int MaxPayloadBytes { get; init; } = NbdLimits.MaxPayloadBytes;

    /// <summary>A payload up to this size is copied behind its header, so that a burst is one send; a larger one is sent in
    /// place. 0 to 1 MiB.</summary>
    public int CoalesceBytes { get; init; } = 32 << 10;

    /// <summary>Replies are received into a buffer of this size; 16 KiB to 64 MiB.</summary>
    public int ReceiveBufferBytes { get; init; } = 1 << 20;

    /// <summary>The longest wait for a reply that the receive thread polls through, giving way between two looks, instead of sleeping,
    /// where its last wait was that short. A wake-up costs more than a reply from a near peer takes. Zero: always sleep.</summary>
    public TimeSpan BusyPoll { get; init; } = TimeSpan.FromMicroseconds(200);

    public bool RequestStructuredReplies { get; init; } = true;

    public bool RequestExtendedHeaders { get; init; } = true;

    /// <summary>base:allocation, for <c>GetExtentsAsync</c>.</summary>
    public bool RequestBaseAllocation { get; init; } = true;

    /// <summary>colo:checkpoint, for <see cref="NbdClientDevice.CheckpointAsync"/>.</summary>
    public bool RequestCheckpoint { get; init; }

    /// <summary>Reads carry DF where the server knows it: one data chunk or EOVERFLOW.</summary>
    public bool DontFragmentReads { get; init; }

    public ReconnectPolicy Reconnect { get; init; } = ReconnectPolicy.None;

    /// <summary>A request this old without its reply means that the connection is lost; null: a slow server may take for ever.</summary>
    public TimeSpan? RequestTimeout { get; init; }

    /// <summary>Connect, TLS and negotiation together.</summary>
    public TimeSpan HandshakeTimeout { get; init; } = NbdLimits.HandshakeTimeout;

    public TimeProvider TimeProvider { get; init; } = TimeProvider.System;

    public ILogger Logger { get; init; } = NullLogger.Instance;

    /// <summary>Makes the connection, in place of a socket. Its stream is read by one thread and written by one at a time; disposing it, from
    /// any thread, ends a read that waits. An IOException: nobody is there.</summary>
    public Func<NbdEndpoint, Stream>? Dial { get; init; }

    internal ConnectionThreads Threads { get; init; } = ConnectionThreads.System;

    internal void Validate()
    {
        ArgumentNullException.ThrowIfNull(Endpoint);
        CheckRange(MaxInFlight, 1, 4096, nameof(MaxInFlight));
        CheckRange(MaxWaiting, 0, int.MaxValue, nameof(MaxWaiting));
        CheckRange(MaxPayloadBytes, 64 << 10, NbdLimits.MaxPayloadBytes, nameof(MaxPayloadBytes));
        CheckRange(CoalesceBytes, 0, 1 << 20, nameof(CoalesceBytes));
        CheckRange(ReceiveBufferBytes, 16 << 10, 64 << 20, nameof(ReceiveBufferBytes));
        if (RequestTimeout <= TimeSpan.Zero || HandshakeTimeout <= TimeSpan.Zero || BusyPoll < TimeSpan.Zero)
        {
            throw new ArgumentException(
                $"{nameof(RequestTimeout)} and {nameof(HandshakeTimeout)} must be positive, {nameof(BusyPoll)} not negative");
        }

        Reconnect.Validate();
    }

    private static void CheckRange(int value, int minimum, int maximum, string name)
    {
        if (value < minimum || value > maximum)
        {
            throw new ArgumentOutOfRangeException(name, value, $"{name} must be from {minimum} to {maximum}");
        }
    }
}
