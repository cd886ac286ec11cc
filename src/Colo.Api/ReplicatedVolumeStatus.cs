namespace Colo.Api;

/// <summary>
/// What is the case. In Kubernetes its term, currentPrimary, currentSecondary, secondaryState and recordRevision are the arbiter's
/// record: written by compare-and-swap only, never by whoever writes the rest.
/// </summary>
public sealed record ReplicatedVolumeStatus
{
    public VolumePhase Phase { get; init; }

    /// <summary>Why the phase is what it is, in one sentence.</summary>
    public string Message { get; init; } = "";

    /// <summary>Rises with every change of who may write; never falls.</summary>
    public long Term { get; init; }

    public string CurrentPrimary { get; init; } = "";

    /// <summary>Differs from <see cref="CurrentPrimary"/> while a failover or a switchover is under way.</summary>
    public string TargetPrimary { get; init; } = "";

    public string CurrentSecondary { get; init; } = "";

    public SecondaryState SecondaryState { get; init; }

    /// <summary>Counts the writes of the record. Null where the record is kept elsewhere (a file, in coloctl local).</summary>
    public long? RecordRevision { get; init; }

    public IReadOnlyList<ReplicaStatus> Replicas { get; init; } = [];

    public VolumeEndpoint? Endpoint { get; init; }

    public CheckpointStatus? Checkpoint { get; init; }

    public BufferStatus? Buffer { get; init; }

    public ResyncStatus? Resync { get; init; }

    /// <summary>What became of the last request that a person made by an annotation.</summary>
    public RequestStatus? LastRequest { get; init; }

    public IReadOnlyList<VolumeError> Errors { get; init; } = [];

    public IReadOnlyList<VolumeCondition> Conditions { get; init; } = [];

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
    public required string Node { get; init; }

    public string? PodIP { get; init; }

    public ReplicaRole Role { get; init; }

    /// <summary>What the agent itself says, or Unreachable.</summary>
    public string State { get; init; } = "";

    /// <summary>Online and in sync are two things; both are shown.</summary>
    public bool Online { get; init; }

    public bool InSync { get; init; }

    /// <summary>The highest term this replica has seen.</summary>
    public long Term { get; init; }

    public string? GenerationID { get; init; }

    public DateTimeOffset? LastSeen { get; init; }

    public string? Error { get; init; }
}

/// <summary>Where the guest connects.</summary>
public sealed record VolumeEndpoint
{
    /// <summary>Path of the unix socket.</summary>
    public string? Unix { get; init; }

    public string? Tcp { get; init; }

    /// <summary>As NBD clients take it: <c>nbd+unix:///export?socket=/path</c>.</summary>
    public string? Uri { get; init; }

    /// <summary>What the secondary VM sees, where it is exported.</summary>
    public string? SecondaryUri { get; init; }
}

public sealed record CheckpointStatus
{
    public long Sequence { get; init; }

    public DateTimeOffset? LastTime { get; init; }

    public Duration? LastPause { get; init; }

    public ByteQuantity BufferedBytes { get; init; }
}

public sealed record BufferStatus
{
    public ByteQuantity Used { get; init; }

    public ByteQuantity Limit { get; init; }
}

public sealed record ResyncStatus
{
    /// <summary>0 to 100.</summary>
    public double Percent { get; init; }

    public ByteQuantity BytesRemaining { get; init; }

    public DateTimeOffset? EstimatedFinish { get; init; }
}

/// <summary>One request of a person, after it was judged.</summary>
public sealed record RequestStatus
{
    /// <summary>switchover, checkpoint, failover or resync.</summary>
    public required string Verb { get; init; }

    public RequestOutcome Outcome { get; init; }

    /// <summary>Why, in one sentence.</summary>
    public string Message { get; init; } = "";

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
    public required string Node { get; init; }

    /// <summary>1 to 7.</summary>
    public int Number { get; init; }

    public string Name { get; init; } = "";

    public string Message { get; init; } = "";
}

public sealed record VolumeCondition
{
    public required string Type { get; init; }

    /// <summary>True, False or Unknown.</summary>
    public required string Status { get; init; }

    /// <summary>One word in CamelCase for programs.</summary>
    public required string Reason { get; init; }

    public string Message { get; init; } = "";

    /// <summary>When the status last became another; a changed reason or message does not move it.</summary>
    public DateTimeOffset? LastTransitionTime { get; init; }

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
}
