using Colo.Agent.Volumes;
using Colo.Replication;

namespace Colo.Agent;

/// <summary>
/// The agent's log as an interface. Event ids: 1000 process and configuration, 1100 pools, 1200 calls, 1300 life of a replica, 1400
/// replication, 1500 the cluster. Information is what an operator would act on.
/// </summary>
internal static partial class AgentLog
{
    [LoggerMessage(1000, LogLevel.Information, "agent of node {Node} is ready: {Volumes} volumes adopted, replication on {Replication}")]
    public static partial void Ready(this ILogger log, string node, int volumes, string replication);

    [LoggerMessage(1001, LogLevel.Information, "agent of node {Node} shuts down: {Volumes} volumes to close")]
    public static partial void ShuttingDown(this ILogger log, string node, int volumes);

    [LoggerMessage(1002, LogLevel.Information, "agent of node {Node} closed every volume cleanly")]
    public static partial void ShutDown(this ILogger log, string node);

    [LoggerMessage(1003, LogLevel.Warning, "certificate {File} is not reloaded, the former one stays in use: {Reason}")]
    public static partial void CertificateNotReloaded(this ILogger log, string file, string reason);

    [LoggerMessage(1004, LogLevel.Information, "certificate of {Subject} is in use, valid until {NotAfter:u}, authority {Authority}")]
    public static partial void CertificateLoaded(this ILogger log, string subject, DateTime notAfter, string authority);

    [LoggerMessage(1005, LogLevel.Error, "this agent's own certificate of {Subject} ended at {NotAfter:u}: peers will refuse it")]
    public static partial void CertificateExpired(this ILogger log, string subject, DateTime notAfter);

    [LoggerMessage(1006, LogLevel.Warning, "TLS, {Where}: {Peer} is not believed: {Reason}")]
    public static partial void PeerNotBelieved(this ILogger log, string where, string peer, string reason);

    [LoggerMessage(1007, LogLevel.Warning, "{Listener}: connection of {Peer} closed at once, there are as many as may be ({Total} refused so far)")]
    public static partial void ListenerFull(this ILogger log, string listener, string peer, long total);

    [LoggerMessage(1100, LogLevel.Error, "pool {Pool} at {Directory} is not healthy: {Reason}")]
    public static partial void PoolFailed(this ILogger log, string pool, string directory, string reason);

    [LoggerMessage(1101, LogLevel.Information, "pool {Pool} at {Directory} is healthy again")]
    public static partial void PoolRecovered(this ILogger log, string pool, string directory);

    [LoggerMessage(1200, LogLevel.Warning, "{Method} refused ({Kind}): {Reason}")]
    public static partial void CallRefused(this ILogger log, string method, VolumeFaultKind kind, string reason);

    [LoggerMessage(1201, LogLevel.Error, "{Method} failed")]
    public static partial void CallFailed(this ILogger log, Exception cause, string method);

    [LoggerMessage(1301, LogLevel.Information, "volume {Volume} term {Term}: opened as {Role}, {How}")]
    public static partial void Opened(this ILogger log, string volume, long term, AgentApi.Role role, string how);

    [LoggerMessage(1302, LogLevel.Error, "volume {Volume}: faulted, other volumes go on: {Reason}")]
    public static partial void Faulted(this ILogger log, string volume, string reason);

    [LoggerMessage(1303, LogLevel.Information, "volume {Volume} term {Term}: closed ({Why})")]
    public static partial void Closed(this ILogger log, string volume, long term, string why);

    [LoggerMessage(1304, LogLevel.Information, "volume {Volume}: deleted")]
    public static partial void Deleted(this ILogger log, string volume);

    [LoggerMessage(
        1305,
        LogLevel.Warning,
        "volume {Volume} term {Term}: the machine went down under it: what was not flushed is lost, and so are the buffers; no last checkpoint is here")]
    public static partial void MachineWentDown(this ILogger log, string volume, long term);

    [LoggerMessage(1306, LogLevel.Warning, "volume {Volume}: a disk that did not look like its own was accepted by {File}; its history counts as unknown")]
    public static partial void DiskAccepted(this ILogger log, string volume, string file);

    [LoggerMessage(1307, LogLevel.Information, "volume {Volume} term {Term}: promoted, recovery point {RecoveryPoint}, serving after {Milliseconds} ms")]
    public static partial void Promoted(this ILogger log, string volume, long term, AgentApi.RecoveryPoint recoveryPoint, double milliseconds);

    [LoggerMessage(1308, LogLevel.Warning, "volume {Volume}: {Sectors} sectors of lineage.map are damaged; what they describe counts as different and is copied again")]
    public static partial void MapDamaged(this ILogger log, string volume, int sectors);

    [LoggerMessage(1309, LogLevel.Warning, "volume {Volume}: closed, which cannot be noted: {Reason}")]
    public static partial void CloseNotNoted(this ILogger log, string volume, string reason);

    [LoggerMessage(1400, LogLevel.Information, "volume {Volume} term {Term}: {From} -> {To} {Reason}")]
    public static partial void StateChanged(this ILogger log, string volume, long term, string from, string to, string reason);

    [LoggerMessage(1401, LogLevel.Warning, "volume {Volume} term {Term}: secondary at {Peer} not attached, will try again: {Reason}")]
    public static partial void AttachFailed(this ILogger log, string volume, long term, string peer, string reason);

    [LoggerMessage(1402, LogLevel.Warning, "replication connection for {Export} refused: {Reason}")]
    public static partial void ReplicationRefused(this ILogger log, string export, string reason);

    [LoggerMessage(1403, LogLevel.Warning, "volume {Volume} term {Term}: the buffer asks for a checkpoint ({Reason})")]
    public static partial void BufferPressure(this ILogger log, string volume, long term, CheckpointReason reason);

    [LoggerMessage(1404, LogLevel.Error, "volume {Volume} term {Term}: error {Number} {Name}: {Message}")]
    public static partial void ErrorLatched(this ILogger log, string volume, long term, int number, string name, string message);

    [LoggerMessage(1405, LogLevel.Information, "volume {Volume} term {Term}: record: primary {Primary}, secondary {Secondary} {State}")]
    public static partial void RecordChanged(
        this ILogger log, string volume, long term, string primary, string secondary, SecondaryState state);

    [LoggerMessage(1406, LogLevel.Information, "volume {Volume} term {Term}: secondary {Peer} attached, resync {Mode}")]
    public static partial void Attached(this ILogger log, string volume, long term, string peer, ResyncMode mode);

    [LoggerMessage(1407, LogLevel.Warning, "volume {Volume} term {Term}: checkpoint failed: {Reason}")]
    public static partial void CheckpointFailed(this ILogger log, string volume, long term, string reason);

    [LoggerMessage(1408, LogLevel.Error, "volume {Volume} term {Term}: the buffer of the failover was not committed; served from both, call Stop again")]
    public static partial void CommitFailed(this ILogger log, string volume, long term);

    [LoggerMessage(1409, LogLevel.Warning, "volume {Volume}: the arbiter does not answer: {Reason}")]
    public static partial void ArbiterSilent(this ILogger log, string volume, string reason);

    [LoggerMessage(1410, LogLevel.Information, "volume {Volume}: the arbiter answers again")]
    public static partial void ArbiterAnswers(this ILogger log, string volume);

    [LoggerMessage(1411, LogLevel.Warning, "volume {Volume} term {Term}: what its primary announced was refused: {Reason}")]
    public static partial void AnnouncementRefused(this ILogger log, string volume, long term, string reason);

    [LoggerMessage(1412, LogLevel.Information, "volume {Volume} term {Term}: resync {Mode} of {Bytes} bytes ended: {State} {Failure}")]
    public static partial void ResyncEnded(
        this ILogger log, string volume, long term, ResyncMode mode, long bytes, ResyncState state, string failure);

    [LoggerMessage(1500, LogLevel.Information, "lease {Namespace}/{Lease} is held and renewed")]
    public static partial void LeaseHeld(this ILogger log, string @namespace, string lease);

    [LoggerMessage(1501, LogLevel.Warning, "lease {Namespace}/{Lease} is not renewed, guests are served all the same: {Reason}")]
    public static partial void LeaseNotRenewed(this ILogger log, string @namespace, string lease, string reason);

    [LoggerMessage(
        1502,
        LogLevel.Error,
        "another agent with the node name {Node} is alive at {Address}: it renews the lease {Namespace}/{Lease}. Each node needs a name of its own")]
    public static partial void LeaseOfAnother(this ILogger log, string node, string address, string @namespace, string lease);

    [LoggerMessage(1503, LogLevel.Information, "the certificate for {Name} was given (asked for, because: {Reason})")]
    public static partial void CertificateGiven(this ILogger log, string name, string reason);

    [LoggerMessage(1504, LogLevel.Warning, "no certificate for {Name} yet, will ask again (asked for, because: {Reason}): {Message}")]
    public static partial void CertificateNotGiven(this ILogger log, string name, string reason, string message);
}
