namespace Colo.Replication;

/// <summary>Fixed for the life of a <see cref="SecondaryReplica"/>.</summary>
public sealed record SecondaryReplicaOptions
{
    public required VolumeUid Uid { get; init; }

    public required BufferPolicy Buffer { get; init; }
}
