namespace Colo.Replication;

/// <summary>Fixed for the life of a <see cref="PrimaryReplica"/>.</summary>
public sealed record PrimaryReplicaOptions
{
    public required VolumeUid Uid { get; init; }

    /// <summary>This node, as the record spells it.</summary>
    public required string Node { get; init; }

    /// <summary>Under which this node is primary.</summary>
    public required Term Term { get; init; }

    /// <summary>A forward unanswered for so long is lost, and the link with it. Decides when to go alone, never who may write.</summary>
    public TimeSpan ForwardTimeout { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>After a restart with an InSync secondary: how long to wait for it to be attached before going alone.</summary>
    public TimeSpan AttachTimeout { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>Between two tries to reach the arbiter: doubles from the first to the last.</summary>
    public TimeSpan ArbiterRetryFirst { get; init; } = TimeSpan.FromMilliseconds(100);

    public TimeSpan ArbiterRetryLast { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>0: no limit.</summary>
    public long ResyncBytesPerSecond { get; init; }

    /// <summary>In one piece; also the grain in which copier and guest wait for each other.</summary>
    public int ResyncChunkBytes { get; init; } = 1 << 20;

    /// <summary>Copied before the secondary is asked for a durable answer, after which an interruption finds it done.</summary>
    public long ResyncSettleBytes { get; init; } = 32 << 20;
}
