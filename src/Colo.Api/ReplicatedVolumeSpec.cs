using System.Text.Json.Serialization;

namespace Colo.Api;

/// <summary>What a person asks of a volume. Defaults stand here and nowhere else.</summary>
public sealed record ReplicatedVolumeSpec
{
    /// <summary>Size of the disk, a multiple of 4Ki. It may grow, never shrink.</summary>
    public required ByteQuantity Size { get; init; }

    /// <summary>How much of the VM survives the death of its node.</summary>
    public VolumeMode Mode { get; init; } = VolumeMode.HighAvailability;

    /// <summary>Where each node keeps its copy: a pool that both nodes are configured with. It cannot be changed.</summary>
    public string StoragePool { get; init; } = "default";

    /// <summary>Which nodes hold the two copies.</summary>
    public PlacementSpec Placement { get; init; } = new();

    /// <summary>Where the secondary keeps what came since the last checkpoint, and how much of it there may be.</summary>
    public BufferSpec Buffer { get; init; } = new();

    /// <summary>When the secondary's disk is brought to the primary's state.</summary>
    public CheckpointSpec Checkpoint { get; init; } = new();

    /// <summary>What happens when the primary's node is lost.</summary>
    public FailoverSpec Failover { get; init; } = new();

    /// <summary>How a copy that fell behind is brought up to date.</summary>
    public ResyncSpec Resync { get; init; } = new();

    /// <summary>What a new volume is filled from: at most one of its fields. Empty: zeroes.</summary>
    public SourceSpec Source { get; init; } = new();

    /// <summary>The recovery point that applies where the spec names none: a mode that saves VM state goes back to that state.</summary>
    [JsonIgnore]
    public RecoveryPoint EffectiveRecoveryPoint =>
        Failover.RecoveryPoint ?? (Mode == VolumeMode.HighAvailability ? RecoveryPoint.LatestWrite : RecoveryPoint.LastCheckpoint);
}

public enum VolumeMode
{
    /// <summary>The VM boots again on the other node.</summary>
    HighAvailability,

    /// <summary>VM state is saved with each checkpoint.</summary>
    MicroCheckpoint,

    /// <summary>A secondary VM runs on the other node.</summary>
    Colo,
}

public sealed record PlacementSpec
{
    /// <summary>The label of nodes whose values differ between the two copies: a host, a zone.</summary>
    public string TopologyKey { get; init; } = "kubernetes.io/hostname";

    /// <summary>Labels that both nodes have.</summary>
    public IReadOnlyDictionary<string, string> NodeSelector { get; init; } = new Dictionary<string, string>(StringComparer.Ordinal);

    /// <summary>A preference; empty leaves the choice. Changing it on a running volume asks for a switchover.</summary>
    public string PrimaryNode { get; init; } = "";

    /// <summary>A preference; empty leaves the choice.</summary>
    public string SecondaryNode { get; init; } = "";
}

/// <summary>Where the secondary keeps the hidden and the active disk, and how much of it there may be.</summary>
public sealed record BufferSpec
{
    /// <summary>What the buffer is kept in.</summary>
    public BufferMedium Medium { get; init; } = BufferMedium.Memory;

    /// <summary>The most that the buffer may take on the secondary's node, at least 4Mi.</summary>
    public ByteQuantity SizeLimit { get; init; } = ByteQuantity.FromGibibytes(2);

    /// <summary>What happens when the buffer reaches its limit.</summary>
    public BufferFullPolicy OnFull { get; init; } = BufferFullPolicy.Checkpoint;
}

public enum BufferMedium
{
    /// <summary>A tmpfs.</summary>
    Memory,

    /// <summary>The storage pool itself.</summary>
    Disk,
}

public enum BufferFullPolicy
{
    /// <summary>A checkpoint is forced.</summary>
    Checkpoint,

    /// <summary>The secondary is marked Stale; the primary goes on alone.</summary>
    Detach,
}

public sealed record CheckpointSpec
{
    /// <summary>Time between checkpoints, at least 100ms. 0s: only when asked for, and under buffer pressure.</summary>
    public Duration Interval { get; init; } = Duration.FromSeconds(30);

    /// <summary>Who brings the guest's filesystems to rest around a checkpoint.</summary>
    public QuiesceMode Quiesce { get; init; } = QuiesceMode.None;
}

public enum QuiesceMode
{
    /// <summary>Nobody: the checkpoint is what a power loss would leave.</summary>
    None,

    /// <summary>The guest's agent freezes its filesystems around a checkpoint.</summary>
    GuestAgent,
}

public sealed record FailoverSpec
{
    /// <summary>Who decides on a failover.</summary>
    public FailoverMode Policy { get; init; } = FailoverMode.Automatic;

    /// <summary>Which state the surviving copy is taken over in. Left out: LatestWrite in mode HighAvailability, else LastCheckpoint.</summary>
    public RecoveryPoint? RecoveryPoint { get; init; }

    /// <summary>How long an agent must have been silent, by the observer's own clock, before a failover is tried: 500ms to 5m.</summary>
    public Duration HeartbeatTimeout { get; init; } = Duration.FromSeconds(3);
}

public enum FailoverMode
{
    /// <summary>The control plane, once the primary is lost and the secondary is in sync.</summary>
    Automatic,

    /// <summary>A person.</summary>
    Manual,
}

public enum RecoveryPoint
{
    /// <summary>The secondary disk as it is: every write that the guest saw acknowledged.</summary>
    LatestWrite,

    /// <summary>The disk as of the last checkpoint, with the secondary VM's own writes.</summary>
    LastCheckpoint,
}

public sealed record ResyncSpec
{
    /// <summary>The most that a resync may read and send. 0: no limit.</summary>
    public long MaxBytesPerSecond { get; init; }
}

/// <summary>What a new volume is filled from; at most one is set, none leaves it empty.</summary>
public sealed record SourceSpec
{
    /// <summary>An image to fetch over HTTP.</summary>
    public string? Url { get; init; }

    /// <summary>An NBD export to copy, as an NBD URI.</summary>
    public string? Nbd { get; init; }

    /// <summary>A PersistentVolumeClaim of the same namespace to copy.</summary>
    public string? Pvc { get; init; }
}
