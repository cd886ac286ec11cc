using Colo.Blocks;

namespace Colo.Replication;

/// <summary>The seven errors, by the numbers of QEMU's docs/block-replication.txt.</summary>
public enum ReplicationError
{
    /// <summary>I/O on the primary disk: to the guest.</summary>
    PrimaryDisk = 1,

    /// <summary>A write could not be forwarded: the primary goes on alone.</summary>
    Forward = 2,

    /// <summary>The old content could not be saved before a write; that write did not happen.</summary>
    Backup = 3,

    /// <summary>I/O on the secondary disk.</summary>
    SecondaryDisk = 4,

    /// <summary>I/O on the active disk: to the secondary guest.</summary>
    ActiveDisk = 5,

    /// <summary>Hidden and active disk could not be emptied; the checkpoint fails.</summary>
    MakeEmpty = 6,

    /// <summary>The buffer could not be committed into the secondary disk.</summary>
    FailoverCommit = 7,
}

/// <summary>The first error since the last checkpoint.</summary>
public sealed record LatchedError(ReplicationError Number, BlockStatus Status, string Message, DateTimeOffset When)
{
    public override string ToString() => $"error {(int)Number} ({Number}): {Message}";
}
