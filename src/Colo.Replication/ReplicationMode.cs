namespace Colo.Replication;

public enum ReplicationMode
{
    Primary,
    Secondary,
}

/// <summary>What a promoted secondary serves. Getting this wrong loses acknowledged writes, so it is always named.</summary>
public enum RecoveryPoint
{
    /// <summary>The secondary disk as it is: every write that the guest saw acknowledged.</summary>
    LatestWrite,

    /// <summary>Active over hidden over secondary disk: the disk as of the last checkpoint, and the secondary VM's own writes.</summary>
    LastCheckpoint,
}
