namespace Colo.Blocks;

/// <summary>A run of bytes on a device: [Offset, End). Never negative, never wraps.</summary>
public readonly record struct BlockRange
{
    /// <param name="offsetBytes">0 or more.</param>
    /// <param name="lengthBytes">0 or more; offset + length fits a long.</param>
    /// <exception cref="ArgumentOutOfRangeException">negative, or the end would not fit a long.</exception>
    public BlockRange(long offsetBytes, long lengthBytes)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(offsetBytes);
        ArgumentOutOfRangeException.ThrowIfNegative(lengthBytes);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(lengthBytes, long.MaxValue - offsetBytes);
        Offset = offsetBytes;
        Length = lengthBytes;
    }

    /// <summary>Bytes.</summary>
    public long Offset { get; }

    /// <summary>Bytes.</summary>
    public long Length { get; }

    /// <summary>The first byte behind the range.</summary>
    public long End => Offset + Length;

    public bool IsEmpty => Length == 0;

    public static BlockRange FromTo(long offsetBytes, long endBytes) => new(offsetBytes, endBytes - offsetBytes);

    public bool Overlaps(BlockRange other) => Offset < other.End && other.Offset < End;

    public bool Contains(BlockRange other) => Offset <= other.Offset && other.End <= End;

    /// <summary>The smallest range of whole grains that covers this one, cut at <paramref name="deviceLengthBytes"/>.</summary>
    public BlockRange ExpandTo(int grainBytes, long deviceLengthBytes)
    {
        long start = Offset / grainBytes * grainBytes;
        long end = Math.Min((End + grainBytes - 1) / grainBytes * grainBytes, deviceLengthBytes);
        return FromTo(start, Math.Max(start, end));
    }

    public override string ToString() => $"[{Offset}, {End})";
}
