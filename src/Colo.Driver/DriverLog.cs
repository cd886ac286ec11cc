using Microsoft.Extensions.Logging;

namespace Colo.Driver;

/// <summary>Event ids 3100-3149.</summary>
internal static partial class DriverLog
{
    [LoggerMessage(3100, LogLevel.Warning, "agent of {Node} at {Address} lost: {Reason}")]
    public static partial void AgentLost(this ILogger log, string node, string address, string reason);

    [LoggerMessage(3101, LogLevel.Information, "agent of {Node} at {Address} is polled: it is of an older version, or has no stream left")]
    public static partial void AgentIsPolled(this ILogger log, string node, string address);
}
