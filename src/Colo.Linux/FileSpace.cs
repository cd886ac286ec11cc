using Colo.Blocks;
using Colo.Linux.Native;

namespace Colo.Linux;

/// <summary>
/// Which bytes of a file take space: zeroing and freeing without writing where file system or device can, and the map of holes.
/// Blocking; for workers.
/// </summary>
internal sealed class FileSpace(FileDescriptor descriptor, FileFacts facts)
{
    private const int PunchHole = Constants.FALLOC_FL_PUNCH_HOLE | Constants.FALLOC_FL_KEEP_SIZE;
    private const int ZeroRange = Constants.FALLOC_FL_ZERO_RANGE | Constants.FALLOC_FL_KEEP_SIZE;

    /// <summary>Zeroes without writing zero bytes; NotSupported, with nothing changed, where that cannot be done.</summary>
    public BlockStatus ZeroFast(BlockRange range, RequestFlags flags)
    {
        if (!IsAligned(range))
        {
            return BlockStatus.NotSupported;
        }

        if ((flags & RequestFlags.MayUnmap) != 0)
        {
            BlockStatus punched = descriptor.Allocate(PunchHole, range);
            if (punched != BlockStatus.NotSupported)
            {
                return punched;
            }
        }

        // On a block device the kernel itself falls back to writing zeroes and does not say so: not fast.
        return facts.IsBlockDevice && (flags & RequestFlags.FastOnly) != 0
            ? BlockStatus.NotSupported
            : descriptor.Allocate(ZeroRange, range);
    }

    /// <summary>Frees what can be freed; Ok also where nothing can (a discard is a hint).</summary>
    public BlockStatus Discard(BlockRange range)
    {
        BlockRange inner = InnerBlocks(range);
        if (inner.IsEmpty)
        {
            return BlockStatus.Ok;
        }

        BlockStatus status = facts.IsBlockDevice ? descriptor.DiscardBlocks(inner) : descriptor.Allocate(PunchHole, inner);
        return status == BlockStatus.NotSupported ? BlockStatus.Ok : status;
    }

    /// <summary>Appends holes and data in order. What the file system cannot tell is data.</summary>
    public BlockStatus Map(BlockRange range, IList<BlockExtent> extents, int maxExtents)
    {
        long at = range.Offset;
        for (int found = 0; found < maxExtents && at < range.End; found++)
        {
            BlockExtent extent = facts.IsBlockDevice
                ? new BlockExtent(range, ExtentKind.Data)
                : ExtentAt(at, range.End);
            extents.Add(extent);
            at = extent.Range.End;
        }

        return BlockStatus.Ok;
    }

    private BlockExtent ExtentAt(long at, long end)
    {
        long data = descriptor.Seek(at, Constants.SEEK_DATA);
        if (data > at || data == -Errno.ENXIO)
        {
            long holeEnd = data > at ? Math.Min(data, end) : end;
            return new BlockExtent(BlockRange.FromTo(at, holeEnd), ExtentKind.Hole | ExtentKind.Zero);
        }

        long hole = data == at ? descriptor.Seek(at, Constants.SEEK_HOLE) : end;
        if (hole <= at)
        {
            // Freed between the two calls. One block of "data" is always true, and the next call sees the hole.
            hole = at + facts.PreferredBlockBytes;
        }

        return new BlockExtent(BlockRange.FromTo(at, Math.Min(hole, end)), ExtentKind.Data);
    }

    private bool IsAligned(BlockRange range) =>
        !facts.IsBlockDevice || ((range.Offset | range.Length) & (facts.LogicalBlockBytes - 1)) == 0;

    private BlockRange InnerBlocks(BlockRange range)
    {
        if (!facts.IsBlockDevice)
        {
            return range;
        }

        long mask = facts.LogicalBlockBytes - 1;
        long start = (range.Offset + mask) & ~mask;
        return BlockRange.FromTo(start, Math.Max(start, range.End & ~mask));
    }
}
