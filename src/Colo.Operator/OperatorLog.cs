namespace Colo.Operator;

/// <summary>
/// The operator's log as an interface. Event ids: 2000 process and configuration, 2100 agents, 2200 volumes, 2300 requests. Information is
/// what a person on duty would act on.
/// </summary>
internal static partial class OperatorLog
{
    [LoggerMessage(2000, LogLevel.Information, "operator {Identity} leads; it drives the volumes of {Namespaces}")]
    public static partial void Leads(this ILogger log, string identity, string namespaces);

    [LoggerMessage(2001, LogLevel.Error, "operator {Identity} does not lead any more and ends: {Reason}")]
    public static partial void LeadershipLost(this ILogger log, string identity, string reason);

    [LoggerMessage(2002, LogLevel.Information, "certificate {File} was read anew, valid until {NotAfter:u}")]
    public static partial void CertificateReloaded(this ILogger log, string file, DateTime notAfter);

    [LoggerMessage(2003, LogLevel.Warning, "certificate {File} is not reloaded, the former one stays in use: {Reason}")]
    public static partial void CertificateNotReloaded(this ILogger log, string file, string reason);

    [LoggerMessage(2004, LogLevel.Information, "the agent of {Node} has its certificate (request {Request})")]
    public static partial void CertificateSigned(this ILogger log, string node, string request);

    [LoggerMessage(2005, LogLevel.Warning, "certificate request {Request} of {User} is denied: {Reason}")]
    public static partial void CertificateDenied(this ILogger log, string request, string user, string reason);

    [LoggerMessage(2200, LogLevel.Information, "volume {Volume}: {Situation}, {Phase}: {Message}")]
    public static partial void Situation(this ILogger log, string volume, string situation, string phase, string message);

    [LoggerMessage(2201, LogLevel.Information, "volume {Volume}: {Outcome}")]
    public static partial void Acted(this ILogger log, string volume, string outcome);

    [LoggerMessage(2202, LogLevel.Warning, "volume {Volume}: {Outcome}")]
    public static partial void NotDone(this ILogger log, string volume, string outcome);

    [LoggerMessage(2204, LogLevel.Information, "volume {Volume}: the name now is another volume ({Uid}, before {Former})")]
    public static partial void AnotherVolume(this ILogger log, string volume, string uid, string former);

    [LoggerMessage(2205, LogLevel.Warning, "volume {Volume}: deletion goes on without {Node}: {Left}")]
    public static partial void LeftBehind(this ILogger log, string volume, string node, string left);

    [LoggerMessage(2206, LogLevel.Warning, "volume {Volume}: status not written: {Reason}")]
    public static partial void StatusNotWritten(this ILogger log, string volume, string reason);

    [LoggerMessage(2300, LogLevel.Information, "volume {Volume}: {Verb} {Outcome}: {Message}")]
    public static partial void RequestSettled(this ILogger log, string volume, string verb, string outcome, string message);

    [LoggerMessage(2301, LogLevel.Warning, "virtual machine {Instance} was not thawed, its agent does it after {Seconds} s: {Reason}")]
    public static partial void NotThawed(this ILogger log, string instance, double seconds, string reason);
}
