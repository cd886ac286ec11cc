namespace Colo.Nbd.Wire;

/// <summary>NBD_CMD_*, and one of our own that only a negotiated <see cref="ColoMetaContext"/> allows.</summary>
public enum NbdCommand : ushort
{
    Read = 0,
    Write = 1,
    Disconnect = 2,
    Flush = 3,
    Trim = 4,
    Cache = 5,
    WriteZeroes = 6,
    BlockStatus = 7,
    Resize = 8,

    /// <summary>Ends the epoch: applies to every request before it on this connection and none behind it. Offset carries the
    /// epoch number that ends, length is 0. Outside the numbers the NBD specification assigns; refused with EINVAL unless
    /// <see cref="ColoMetaContext.Checkpoint"/> was negotiated.</summary>
    ColoCheckpoint = 0xC010,
}

/// <summary>NBD_REPLY_TYPE_*: kinds of structured reply chunks; the upper bit marks an error.</summary>
public enum NbdReplyType : ushort
{
    None = 0,
    OffsetData = 1,
    OffsetHole = 2,
    BlockStatus = 5,
    BlockStatusExtended = 6,
    Error = 0x8001,
    ErrorOffset = 0x8002,
}

/// <summary>Meta contexts: the standard one and ours.</summary>
public static class ColoMetaContext
{
    public const string BaseAllocation = "base:allocation";

    /// <summary>Both sides are ours and carry checkpoints in order on the replication connection.</summary>
    public const string Checkpoint = "colo:checkpoint";
}
