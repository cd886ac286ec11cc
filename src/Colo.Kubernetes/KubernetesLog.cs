using Microsoft.Extensions.Logging;

namespace Colo.Kubernetes;

/// <summary>
/// This room's log as an interface. Event ids: 5000 informers, 5100 controllers, 5200 leadership, 5300 Events. Information is what an
/// operator would act on.
/// </summary>
internal static partial class KubernetesLog
{
    [LoggerMessage(5000, LogLevel.Debug, "{Resource}: listed {Count} objects at version {Version}")]
    public static partial void Listed(this ILogger log, string resource, int count, string version);

    [LoggerMessage(5001, LogLevel.Debug, "{Resource}: watch ended after {Lasted} at version {Version}")]
    public static partial void WatchEnded(this ILogger log, string resource, TimeSpan lasted, string version);

    [LoggerMessage(5002, LogLevel.Information, "{Resource}: the version is gone, listing again: {Reason}")]
    public static partial void Relisting(this ILogger log, string resource, string reason);

    [LoggerMessage(5003, LogLevel.Warning, "{Resource}: cannot follow ({Kind}), trying again: {Reason}")]
    public static partial void InformerFailed(this ILogger log, string resource, ApiErrorKind kind, string reason);

    [LoggerMessage(5004, LogLevel.Error, "{Resource} {Key}: a handler of its change failed")]
    public static partial void HandlerFailed(this ILogger log, Exception cause, string resource, ObjectKey key);

    [LoggerMessage(5005, LogLevel.Warning, "{Resource} {Key}: not readable, left out: {Reason}")]
    public static partial void UnreadableObject(this ILogger log, string resource, ObjectKey key, string reason);

    [LoggerMessage(5100, LogLevel.Error, "{Controller}: {Key} failed (in a row: {Failures})")]
    public static partial void ReconcileFailed(this ILogger log, Exception cause, string controller, ObjectKey key, int failures);

    [LoggerMessage(5101, LogLevel.Warning, "{Controller}: {Key} failed (in a row: {Failures}): {Reason}")]
    public static partial void ReconcileRefused(this ILogger log, string controller, ObjectKey key, int failures, string reason);

    [LoggerMessage(5200, LogLevel.Information, "lease {Lease}: {Identity} leads")]
    public static partial void Leading(this ILogger log, ObjectKey lease, string identity);

    [LoggerMessage(5201, LogLevel.Information, "lease {Lease}: {Identity} waits, {Holder} leads")]
    public static partial void Waiting(this ILogger log, ObjectKey lease, string identity, string holder);

    [LoggerMessage(5202, LogLevel.Critical, "lease {Lease}: {Identity} does not lead any more, the process ends: {Reason}")]
    public static partial void LeadershipLost(this ILogger log, ObjectKey lease, string identity, string reason);

    [LoggerMessage(5203, LogLevel.Information, "lease {Lease}: released by {Identity}")]
    public static partial void Released(this ILogger log, ObjectKey lease, string identity);

    [LoggerMessage(5204, LogLevel.Warning, "lease {Lease}: not released by {Identity}, others wait until it expires: {Reason}")]
    public static partial void NotReleased(this ILogger log, ObjectKey lease, string identity, string reason);

    [LoggerMessage(5205, LogLevel.Warning, "lease {Lease}: no answer in this attempt: {Reason}")]
    public static partial void LeaseAttemptFailed(this ILogger log, ObjectKey lease, string reason);

    [LoggerMessage(5206, LogLevel.Warning, "lease {Lease}: the work of the former leader ended with: {Reason}")]
    public static partial void WorkEndedBadly(this ILogger log, ObjectKey lease, string reason);

    [LoggerMessage(5207, LogLevel.Information, "lease {Lease}: {Holder} is gone; taken after {Silent:F1} s of its {Duration:F0} s")]
    public static partial void HolderGone(this ILogger log, ObjectKey lease, string holder, double silent, double duration);

    [LoggerMessage(5300, LogLevel.Warning, "Event {Reason} on {About} is not sent: {Error}")]
    public static partial void EventNotSent(this ILogger log, string reason, ObjectKey about, string error);

    [LoggerMessage(5301, LogLevel.Debug, "Event {Reason} on {About} is held back: too many on that object")]
    public static partial void EventHeldBack(this ILogger log, string reason, ObjectKey about);
}
