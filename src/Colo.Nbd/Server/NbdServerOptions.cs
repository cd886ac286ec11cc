using Colo.Nbd.Wire;

namespace Colo.Nbd.Server;

/// <summary>Fixed while the server lives; checked when it is made.</summary>
public sealed record NbdServerOptions
{
    /// <summary>May be empty: then only <see cref="NbdServer.Serve"/> brings connections.</summary>
    public IReadOnlyList<NbdListener> Listeners { get; init; } = [];

    /// <summary>Null: no TLS.</summary>
    public NbdServerTls? Tls { get; init; }

    public TimeSpan HandshakeTimeout { get; init; } = NbdLimits.HandshakeTimeout;

    public int MaxConnections { get; init; } = NbdLimits.MaxConnections;

    /// <summary>
    /// The longest wait that a connection polls through instead of sleeping, where its last wait was that short: a wake-up costs more than
    /// a 4 KiB request. The default covers a replicated write's whole way at depth 1. Zero: always sleep.
    /// </summary>
    public TimeSpan BusyPoll { get; init; } = TimeSpan.FromMicroseconds(200);

    /// <summary>
    /// A TCP peer from whose machine nothing was heard for about so long (half a second less to it), not even of its kernel, is gone, and
    /// its connection with it; 2 s or more. A machine without power closes nothing. Null: as the system has it, which is hours.
    /// </summary>
    public TimeSpan? PeerSilence { get; init; }

    /// <summary>Requests of one connection that the device has not answered yet; more wait in the socket.</summary>
    public int MaxRequestsInFlight { get; init; } = 256;

    /// <summary>Payload bytes that one connection may hold in memory, requests and replies each.</summary>
    public long MaxBytesInFlight { get; init; } = 2L * NbdLimits.MaxPayloadBytes;

    /// <summary>One receive; every whole request in it is served in one batch. A write of 1 MiB fits with its header, so that a stream of them
    /// stays in one buffer.</summary>
    public int ReceiveBufferBytes { get; init; } = (1 << 20) + (64 << 10);

    /// <summary>Of the connections; the accepting ones are always the system's.</summary>
    internal ConnectionThreads Threads { get; init; } = ConnectionThreads.System;

    internal void Validate()
    {
        Require(HandshakeTimeout > TimeSpan.Zero, nameof(HandshakeTimeout), "more than zero");
        Require(MaxConnections >= 1, nameof(MaxConnections), "1 or more");
        Require(BusyPoll >= TimeSpan.Zero && BusyPoll <= TimeSpan.FromMilliseconds(10), nameof(BusyPoll), "0 to 10 ms");
        Require(PeerSilence is null || PeerSilence >= TimeSpan.FromSeconds(2), nameof(PeerSilence), "2 s or more");
        Require(MaxRequestsInFlight is >= 1 and <= 65536, nameof(MaxRequestsInFlight), "1 to 65536");
        Require(ReceiveBufferBytes is >= 4096 and <= NbdLimits.MaxPayloadBytes, nameof(ReceiveBufferBytes), "4 KiB to 32 MiB");
        long least = NbdLimits.MaxPayloadBytes + (4L * ReceiveBufferBytes);
        Require(MaxBytesInFlight >= Math.Min(least, 2L * NbdLimits.MaxPayloadBytes), nameof(MaxBytesInFlight), $"{least} or more");
    }

    private static void Require(bool holds, string key, string range)
    {
        if (!holds)
        {
            throw new ArgumentException($"NbdServerOptions.{key} must be {range}");
        }
    }
}
