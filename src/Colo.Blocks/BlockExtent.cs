namespace Colo.Blocks;

/// <summary>What is known of a run of bytes; the bits are NBD's base:allocation (proto.md).</summary>
[Flags]
public enum ExtentKind
{
    Data = 0,

    /// <summary>Not allocated on the medium (for an overlay: not present in this layer).</summary>
    Hole = 1,

    /// <summary>Reads as zeroes.</summary>
    Zero = 2,
}

/// <summary>One run of equal kind.</summary>
public readonly record struct BlockExtent(BlockRange Range, ExtentKind Kind);
