using Colo.Blocks;
using Colo.Nbd.Wire;
using Microsoft.Extensions.Logging;

namespace Colo.Nbd.Client;

/// <summary>The client's log: event ids 2200 to 2299.</summary>
internal static partial class NbdClientLog
{
    [LoggerMessage(2200, LogLevel.Information, "Connected to {Endpoint}: {SizeBytes} bytes, {Flags}")]
    public static partial void Connected(ILogger logger, NbdEndpoint endpoint, ulong sizeBytes, NbdTransmissionFlags flags);

    [LoggerMessage(2201, LogLevel.Warning, "Connection to {Endpoint} lost with {InFlight} requests in flight: {Kind}")]
    public static partial void ConnectionLost(
        ILogger logger, NbdEndpoint endpoint, int inFlight, NbdClientErrorKind kind, Exception reason);

    [LoggerMessage(2202, LogLevel.Warning, "Attempt {Attempt} to reconnect to {Endpoint} failed: {Reason}")]
    public static partial void AttemptFailed(ILogger logger, int attempt, NbdEndpoint endpoint, string reason);

    [LoggerMessage(2203, LogLevel.Error, "Gave up {Endpoint}; its requests fail from now on")]
    public static partial void GivenUp(ILogger logger, NbdEndpoint endpoint, Exception reason);

    [LoggerMessage(2204, LogLevel.Error, "No reply from {Endpoint} for {Age}; the connection is declared lost")]
    public static partial void Hangs(ILogger logger, NbdEndpoint endpoint, TimeSpan age);

    [LoggerMessage(2205, LogLevel.Debug, "{Command} failed at {OffsetBytes} (request of {LengthBytes} bytes): {Status}")]
    public static partial void RequestFailed(
        ILogger logger, NbdCommand command, long offsetBytes, long lengthBytes, BlockStatus status);

    [LoggerMessage(2206, LogLevel.Error, "A handler of the client's state of {Endpoint} threw")]
    public static partial void HandlerThrew(ILogger logger, NbdEndpoint endpoint, Exception reason);
}
