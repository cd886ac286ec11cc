using Colo.Api;

namespace Colo.Control;

/// <summary>How far a replica has come, as its agent says.</summary>
public enum ReplicaStage
{
    /// <summary>The agent answers, and has no replica of this volume open.</summary>
    Absent,

    /// <summary>Open; replication not started. A primary already serves its guest, alone.</summary>
    Prepared,

    /// <summary>Adopted; holds I/O until the arbiter has confirmed its term.</summary>
    WaitingArbiter,

    Syncing,
    Running,

    /// <summary>A primary whose secondary is Stale or None by the record.</summary>
    Alone,

    /// <summary>Promoted and serving; its buffer is being committed.</summary>
    FailingOver,

    /// <summary>Promoted and serving; its buffer could not be committed.</summary>
    FailoverFailed,

    /// <summary>Replication ended.</summary>
    Done,

    /// <summary>Has seen a newer term: serves nothing.</summary>
    Fenced,

    /// <summary>Its files are refused.</summary>
    Faulted,
}

/// <summary>What one node's agent last said of this volume, and for how long it has been silent since.</summary>
/// <param name="Node">Its name, as the record spells it.</param>
/// <param name="SilentFor">By the observer's own monotonic clock; zero: it answered just now.</param>
public sealed record ReplicaView(string Node, TimeSpan SilentFor)
{
    public bool Answers => SilentFor == TimeSpan.Zero;

    /// <summary>The last that its agent said was that it was told to end: a restart or an upgrade, so it will be back.</summary>
    public bool LeftInOrder { get; init; }

    public ReplicaRole Role { get; init; }

    public ReplicaStage Stage { get; init; }

    public long Term { get; init; }

    /// <summary>Primary: the link to its secondary is up. Secondary: a primary is connected.</summary>
    public bool Connected { get; init; }

    /// <summary>Primary: the node that it replicates to, or last did; null: unknown, or none.</summary>
    public string? PeerNode { get; init; }

    /// <summary>Primary: why its secondary is not attached, in the words of the last attempt; empty: nothing is known.</summary>
    public string AttachFailure { get; init; } = "";

    /// <summary>Acknowledgements of writes are being held.</summary>
    public bool Suspended { get; init; }

    /// <summary>0 to 1 while a copy runs.</summary>
    public double? ResyncRatio { get; init; }

    /// <summary>Secondary: it is being filled, and what it held before can still be promoted by force.</summary>
    public bool HoldsOlder { get; init; }

    public long BufferedBytes { get; init; }

    public long BufferLimitBytes { get; init; }

    /// <summary>Primary: checkpoints completed under this term. Before the first, a secondary that was filled has no older state to show.</summary>
    public long Checkpoints { get; init; }

    /// <summary>Secondary: its buffer passed the high-water mark.</summary>
    public bool CheckpointWanted { get; init; }

    /// <summary>Since the last checkpoint was seen, or was tried; whichever is shorter.</summary>
    public TimeSpan SinceCheckpoint { get; init; }

    /// <summary>One of the seven errors, or a fault; null: none.</summary>
    public string? Error { get; init; }

    /// <summary>0: unknown.</summary>
    public long SizeBytes { get; init; }

    public string? Pool { get; init; }

    /// <summary>For how long the pool that holds this volume has failed its probe, by the observer's own clock; null: it does not fail.</summary>
    public TimeSpan? PoolFailingFor { get; init; }

    /// <summary>What the probe says.</summary>
    public string? PoolFault { get; init; }

    public bool IsPrimaryOf(long term) => Answers && Role == ReplicaRole.Primary && Term == term;

    public bool IsSecondaryOf(long term) => Answers && Role == ReplicaRole.Secondary && Term == term;

    /// <summary>Whether guest writes are, or will again be, taken here.</summary>
    public bool Serves => Role == ReplicaRole.Primary &&
        Stage is ReplicaStage.Prepared or ReplicaStage.Syncing or ReplicaStage.Running or ReplicaStage.Alone or ReplicaStage.FailingOver
            or ReplicaStage.FailoverFailed or ReplicaStage.Done;
}
