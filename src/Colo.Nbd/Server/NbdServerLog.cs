using System.Net;
using Colo.Nbd.Wire;
using Microsoft.Extensions.Logging;

namespace Colo.Nbd.Server;

/// <summary>What the NBD server says: event ids 2000 to 2099.</summary>
internal static partial class NbdServerLog
{
    [LoggerMessage(2000, LogLevel.Information, "NBD server listens on {EndPoint}")]
    public static partial void Listening(ILogger logger, EndPoint? endPoint);

    [LoggerMessage(2001, LogLevel.Warning, "NBD server could not accept a connection")]
    public static partial void AcceptFailed(ILogger logger, Exception exception);

    [LoggerMessage(2002, LogLevel.Warning, "NBD connection from {Peer} closed at once: stopping, or {Limit} connections already ({Unsaid} more such since the last line)")]
    public static partial void ServerFull(ILogger logger, NbdPeer peer, int limit, long unsaid);

    [LoggerMessage(2003, LogLevel.Warning, "NBD server cuts {Count} connections that were not drained within {Limit}")]
    public static partial void DrainTimedOut(ILogger logger, int count, TimeSpan limit);

    [LoggerMessage(2004, LogLevel.Warning, "NBD connection from {Peer} closed at once: {Limit} of that address are in their handshake ({Unsaid} more such since the last line)")]
    public static partial void AddressFull(ILogger logger, NbdPeer peer, int limit, long unsaid);

    [LoggerMessage(2010, LogLevel.Debug, "NBD connection {Id} from {Peer}: {Option} refused with {Reply}: {Reason}")]
    public static partial void OptionRefused(ILogger logger, long id, NbdPeer peer, NbdOption option, NbdOptionReply reply, string reason);

    [LoggerMessage(2011, LogLevel.Information, "NBD connection {Id} from {Peer} closed in the handshake: {Reason}")]
    public static partial void HandshakeFailed(ILogger logger, long id, NbdPeer peer, string reason);

    [LoggerMessage(2012, LogLevel.Information, "NBD connection {Id} from {Peer} had {Limit} for the handshake and did not finish it")]
    public static partial void HandshakeTimedOut(ILogger logger, long id, NbdPeer peer, TimeSpan limit);

    [LoggerMessage(2020, LogLevel.Information, "NBD connection {Id} from {Peer} uses export '{Export}' ({Format})")]
    public static partial void TransmissionStarted(ILogger logger, long id, NbdPeer peer, string export, string format);

    [LoggerMessage(2021, LogLevel.Information, "NBD connection {Id} from {Peer} to export '{Export}' ended: {Reason}")]
    public static partial void TransmissionEnded(ILogger logger, long id, NbdPeer peer, string export, string reason);

    [LoggerMessage(2022, LogLevel.Error, "Device of export '{Export}' threw on {Command} at {OffsetBytes}; answered EIO")]
    public static partial void DeviceThrew(ILogger logger, string export, NbdCommand command, long offsetBytes, Exception exception);

    [LoggerMessage(2023, LogLevel.Critical, "NBD connection {Id} from {Peer} stopped on a fault of ours")]
    public static partial void ConnectionFault(ILogger logger, long id, NbdPeer peer, Exception exception);
}
