namespace Colo.Operator.Events;

/// <summary>Something to tell people about a volume, as an Event: one word in CamelCase and a sentence.</summary>
public sealed record VolumeNotice(string Reason, string Message, bool IsWarning = false);

/// <summary>The Events of a volume. Names are an interface: people and alerts look for them.</summary>
public static class NoticeReason
{
    public const string Provisioned = "Provisioned";
    public const string Protected = "Protected";
    public const string Degraded = "Degraded";
    public const string CheckpointFailed = "CheckpointFailed";
    public const string FailingOver = "FailingOver";
    public const string FailedOver = "FailedOver";
    public const string SwitchedOver = "SwitchedOver";
    public const string ResyncStarted = "ResyncStarted";
    public const string ResyncFinished = "ResyncFinished";
    public const string StaleReplicaRefused = "StaleReplicaRefused";
    public const string BufferPressure = "BufferPressure";

    /// <summary>One of the seven errors, by its number and name.</summary>
    public const string ReplicationError = "ReplicationError";
    public const string RequestFulfilled = "RequestFulfilled";
    public const string RequestRefused = "RequestRefused";
    public const string InvalidSpec = "InvalidSpec";

    /// <summary>An agent that the operator cannot talk to, though it may live: certificates, addresses.</summary>
    public const string AgentUnreachable = "AgentUnreachable";

    /// <summary>An agent of an older version: it works, with what that version can.</summary>
    public const string AgentOutdated = "AgentOutdated";

    /// <summary>A deletion went on without a node; what is left there is named.</summary>
    public const string ReplicaLeftBehind = "ReplicaLeftBehind";
    public const string QuiesceFailed = "QuiesceFailed";
}
