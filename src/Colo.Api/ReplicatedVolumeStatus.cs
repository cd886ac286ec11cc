namespace Colo.Api;

/// <summary>
/// What is the case. In Kubernetes its term, currentPrimary, currentSecondary, secondaryState and recordRevision are the arbiter's
/// record: written by compare-and-swap only, never by whoever writes the rest.
/// </summary>
public sealed record ReplicatedVolumeStatus
{
    /// <summary>The state of the whole volume in one word.</summary>
    public VolumePhase Phase { get; init; }

    /// <summary>Why the phase is what it is, in one sentence.</summary>
    public string Message { get; init; } = "";

    /// <summary>Rises with every change of who may write; never falls.</summary>
    public long Term { get; init; }

    /// <summary>The node whose copy the guest writes to; nobody else may acknowledge a write of this term.</summary>
    public string CurrentPrimary { get; init; } = "";

    /// <summary>Differs from <see cref="CurrentPrimary"/> while a failover or a switchover is under way.</summary>
    public string TargetPrimary { get; init; } = "";

    /// <summary>The placement.primaryNode that was last taken up: another one in the spec is a switchover still to be done. Null: none yet.</summary>
    public string? ObservedPrimaryNode { get; init; }

    /// <summary>The node that holds the second copy.</summary>
    public string CurrentSecondary { get; init; } = "";

    /// <summary>What the record says of the second copy: only InSync may take over without losing a write.</summary>
    public SecondaryState SecondaryState { get; init; }

    /// <summary>Counts the writes of the record. Left out where the record is kept elsewhere (a file, in coloctl local).</summary>
    public long? RecordRevision { get; init; }

    /// <summary>One entry for each node that holds a copy, or held one and has not given it back.</summary>
    public IReadOnlyList<ReplicaStatus> Replicas { get; init; } = [];

    /// <summary>Where the guest connects.</summary>
    public VolumeEndpoint? Endpoint { get; init; }

    /// <summary>The last checkpoint, and what came since.</summary>
    public CheckpointStatus? Checkpoint { get; init; }

    /// <summary>How full the secondary's buffer is.</summary>
    public BufferStatus? Buffer { get; init; }

    /// <summary>The resync under way, if any.</summary>
    public ResyncStatus? Resync { get; init; }

    /// <summary>What became of the last request that a person made by an annotation.</summary>
    public RequestStatus? LastRequest { get; init; }

    /// <summary>Errors that nobody has cleared yet.</summary>
    public IReadOnlyList<VolumeError> Errors { get; init; } = [];

    /// <summary>Ready, Protected, Degraded, Resyncing, FailoverInProgress, SpecApplied, StorageFull: each with its reason.</summary>
    public IReadOnlyList<VolumeCondition> Conditions { get; init; } = [];

    /// <summary>The generation of the spec that this status is about.</summary>
    public long? ObservedGeneration { get; init; }
}

public enum VolumePhase
{
    Pending,
    Provisioning,
    Syncing,
    Protected,
    Degraded,
    FailingOver,
    Faulted,
    Deleting,
}

/// <summary>What the record says of the second copy. Only <see cref="InSync"/> may take over without losing a write.</summary>
public enum SecondaryState
{
    None,
    Syncing,
    InSync,
    Stale,
}

public enum ReplicaRole
{
    None,
    Primary,
    Secondary,
}

public sealed record ReplicaStatus
{
    /// <summary>Name of the node.</summary>
    public required string Node { get; init; }

    /// <summary>Where its agent answers.</summary>
    public string? PodIP { get; init; }

    /// <summary>What this copy is used as.</summary>
    public ReplicaRole Role { get; init; }

    /// <summary>What the agent itself says, or Unreachable.</summary>
    public string State { get; init; } = "";

    /// <summary>Whether its agent answers and its storage works. Online and in sync are two things; both are shown.</summary>
    public bool Online { get; init; }

    /// <summary>Whether it holds every acknowledged write.</summary>
    public bool InSync { get; init; }

    /// <summary>The highest term this replica has seen.</summary>
    public long Term { get; init; }

    /// <summary>Which incarnation of the copy this is; a copy that was made anew has another.</summary>
    public string? GenerationID { get; init; }

    /// <summary>When its agent was last heard of.</summary>
    public DateTimeOffset? LastSeen { get; init; }

    /// <summary>What is wrong with it, in one sentence.</summary>
    public string? Error { get; init; }
}

/// <summary>Where the guest connects.</summary>
public sealed record VolumeEndpoint
{
    /// <summary>Path of the unix socket.</summary>
    public string? Unix { get; init; }

    /// <summary>Host and port.</summary>
    public string? Tcp { get; init; }

    /// <summary>As NBD clients take it: <c>nbd+unix:///export?socket=/path</c>.</summary>
    public string? Uri { get; init; }

    /// <summary>What the secondary VM sees, where it is exported.</summary>
    public string? SecondaryUri { get; init; }
}

public sealed record CheckpointStatus
{
    /// <summary>How many checkpoints there were.</summary>
    public long Sequence { get; init; }

    /// <summary>When the last one was done.</summary>
    public DateTimeOffset? LastTime { get; init; }

    /// <summary>How long the guest's writes were held for it.</summary>
    public Duration? LastPause { get; init; }

    /// <summary>What the secondary holds in its buffer since then.</summary>
    public ByteQuantity BufferedBytes { get; init; }
}

public sealed record BufferStatus
{
    /// <summary>What the buffer takes now.</summary>
    public ByteQuantity Used { get; init; }

    /// <summary>The most that it may take.</summary>
    public ByteQuantity Limit { get; init; }
}

public sealed record ResyncStatus
{
    /// <summary>How much is done, 0 to 100.</summary>
    public double Percent { get; init; }

    /// <summary>What is left to copy.</summary>
    public ByteQuantity BytesRemaining { get; init; }

    /// <summary>When it will be done at the present speed.</summary>
    public DateTimeOffset? EstimatedFinish { get; init; }
}

/// <summary>One request of a person, after it was judged.</summary>
public sealed record RequestStatus
{
    /// <summary>switchover, checkpoint, failover or resync.</summary>
    public required string Verb { get; init; }

    /// <summary>How far it came.</summary>
    public RequestOutcome Outcome { get; init; }

    /// <summary>Why, in one sentence.</summary>
    public string Message { get; init; } = "";

    /// <summary>When it was judged.</summary>
    public DateTimeOffset Time { get; init; }
}

public enum RequestOutcome
{
    /// <summary>Taken up, not done yet.</summary>
    Accepted,

    /// <summary>Done.</summary>
    Fulfilled,

    /// <summary>Nothing was done, and nothing will be.</summary>
    Refused,

    /// <summary>Taken up, and it could not be done.</summary>
    Failed,
}

/// <summary>One of the seven errors, by number and name; never swallowed until a checkpoint or a person clears it.</summary>
public sealed record VolumeError
{
    /// <summary>The node that reported it.</summary>
    public required string Node { get; init; }

    /// <summary>1 to 7.</summary>
    public int Number { get; init; }

    /// <summary>Its name, one word.</summary>
    public string Name { get; init; } = "";

    /// <summary>What happened, in one sentence.</summary>
    public string Message { get; init; } = "";
}

public sealed record VolumeCondition
{
    /// <summary>Which condition this is.</summary>
    public required string Type { get; init; }

    /// <summary>True, False or Unknown.</summary>
    public required string Status { get; init; }

    /// <summary>One word in CamelCase for programs.</summary>
    public required string Reason { get; init; }

    /// <summary>The same for people, in one sentence.</summary>
    public string Message { get; init; } = "";

    /// <summary>When the status last became another; a changed reason or message does not move it.</summary>
    public DateTimeOffset? LastTransitionTime { get; init; }

    /// <summary>The generation of the spec that this condition is about.</summary>
    public long? ObservedGeneration { get; init; }
}

/// <summary>The condition types of a volume.</summary>
public static class ConditionType
{
    public const string Ready = "Ready";
    public const string Protected = "Protected";
    public const string Degraded = "Degraded";
    public const string Resyncing = "Resyncing";
    public const string FailoverInProgress = "FailoverInProgress";
    public const string StorageFull = "StorageFull";

    /// <summary>False where something in the spec is not the case and will not be: an invalid spec, a size that cannot be had.</summary>
    public const string SpecApplied = "SpecApplied";
}
