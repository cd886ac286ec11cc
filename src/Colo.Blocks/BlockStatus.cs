namespace Colo.Blocks;

/// <summary>
/// How a block request ended. Values are Linux errno numbers, and at the same time the ones NBD puts on the wire
/// (NBD proto.md, "Error values"). An error is an expected outcome: it is returned, never thrown, on the I/O path.
/// </summary>
public enum BlockStatus
{
    Ok = 0,

    /// <summary>EPERM: the device is read-only.</summary>
    NotPermitted = 1,

    /// <summary>EIO: the medium, or the way to it, failed.</summary>
    IoError = 5,

    /// <summary>ENOMEM.</summary>
    OutOfMemory = 12,

    /// <summary>EINVAL: the request itself is wrong (range, alignment, flags).</summary>
    InvalidArgument = 22,

    /// <summary>ENOSPC: the medium is full, or a write reaches past the end.</summary>
    NoSpace = 28,

    /// <summary>EOVERFLOW: a reply would not fit (NBD, DF flag).</summary>
    Overflow = 75,

    /// <summary>ENOTSUP: this device cannot do that, or not fast (<see cref="RequestFlags.FastOnly"/>).</summary>
    NotSupported = 95,

    /// <summary>ESHUTDOWN: the device no longer serves (closed, or fenced by a newer term).</summary>
    Shutdown = 108,
}
