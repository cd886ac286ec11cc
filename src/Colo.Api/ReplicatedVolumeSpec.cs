using System.Text.Json.Serialization;

namespace Colo.Api;

/// <summary>What a person asks of a volume. Defaults stand here and nowhere else.</summary>
public sealed record ReplicatedVolumeSpec
{
    /// <summary>May grow, never shrink.</summary>
    public required ByteQuantity Size { get; init; }

    public VolumeMode Mode { get; init; } = VolumeMode.HighAvailability;

    /// <summary>A pool that each node is configured with.</summary>
    public string StoragePool { get; init; } = "default";

    public PlacementSpec Placement { get; init; } = new();

    public BufferSpec Buffer { get; init; } = new();

    public CheckpointSpec Checkpoint { get; init; } = new();

    public FailoverSpec Failover { get; init; } = new();

    public ResyncSpec Resync { get; init; } = new();

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
    public string TopologyKey { get; init; } = "kubernetes.io/hostname";

    public IReadOnlyDictionary<string, string> NodeSelector { get; init; } = new Dictionary<string, string>(StringComparer.Ordinal);

    /// <summary>A preference; empty leaves the choice. Changing it on a running volume asks for a switchover.</summary>
    public string PrimaryNode { get; init; } = "";

    public string SecondaryNode { get; init; } = "";
}

/// <summary>Where the secondary keeps the hidden and the active disk, and how much of it there may be.</summary>
public sealed record BufferSpec
{
    public BufferMedium Medium { get; init; } = BufferMedium.Memory;

    public ByteQuantity SizeLimit { get; init; } = ByteQuantity.FromGibibytes(2);

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
    /// <summary>0: only when asked for, and under buffer pressure.</summary>
    public Duration Interval { get; init; } = Duration.FromSeconds(30);

    public QuiesceMode Quiesce { get; init; } = QuiesceMode.None;
}

public enum QuiesceMode
{
    None,

    /// <summary>The guest's agent freezes its filesystems around a checkpoint.</summary>
    GuestAgent,
}

public sealed record FailoverSpec
{
    public FailoverMode Policy { get; init; } = FailoverMode.Automatic;

    /// <summary>Null: by mode, see <see cref="ReplicatedVolumeSpec.EffectiveRecoveryPoint"/>.</summary>
    public RecoveryPoint? RecoveryPoint { get; init; }

    /// <summary>How long an agent must have been silent, by the observer's own clock, before a failover is tried.</summary>
    public Duration HeartbeatTimeout { get; init; } = Duration.FromSeconds(3);
}

public enum FailoverMode
{
    Automatic,
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
    /// <summary>0: no limit.</summary>
    public long MaxBytesPerSecond { get; init; }
}

/// <summary>What a new volume is filled from; at most one is set, none leaves it empty.</summary>
public sealed record SourceSpec
{
    public string? Url { get; init; }

    public string? Nbd { get; init; }

    public string? Pvc { get; init; }
}
