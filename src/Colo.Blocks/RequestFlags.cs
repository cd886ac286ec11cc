namespace Colo.Blocks;

/// <summary>Modifiers of write, write-zeroes and discard requests, as NBD and QEMU's block layer name them.</summary>
[Flags]
public enum RequestFlags
{
    None = 0,

    /// <summary>FUA: answered only when this request's data is on stable storage.</summary>
    ForceUnitAccess = 1 << 0,

    /// <summary>Write zeroes: the range may become a hole (absence of NBD's NO_HOLE).</summary>
    MayUnmap = 1 << 1,

    /// <summary>Write zeroes: fail at once with <see cref="BlockStatus.NotSupported"/>, changing nothing, rather than write
    /// zero bytes one by one (NBD's FAST_ZERO, QEMU's BDRV_REQ_NO_FALLBACK).</summary>
    FastOnly = 1 << 2,
}
