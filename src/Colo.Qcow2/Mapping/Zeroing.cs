using System.Numerics;
using Colo.Blocks;
using Colo.Qcow2.Tables;

namespace Colo.Qcow2.Mapping;

/// <summary>What becomes of a range that loses its data.</summary>
internal enum ZeroMode
{
    /// <summary>Reads as zero; host clusters stay behind it for later writes.</summary>
    Keep,

    /// <summary>Reads as zero; host clusters are given back.</summary>
    Unmap,

    /// <summary>What this layer holds reads as zero, the rest stays a hole; host clusters are given back.</summary>
    DiscardToZero,

    /// <summary>A hole of this layer; host clusters are given back.</summary>
    DiscardToHole,
}

/// <summary>
/// Zeroes and discards by changing L2 entries: whole grains only, ends of less are written as zero bytes. Entries that let go of a
/// host cluster are changed alone in the image, since a request in flight may still use it.
/// </summary>
internal sealed class Zeroing(ImageState image, WritePath writes, Unsharing unsharing)
{
    private static readonly byte[] ZeroBytes = new byte[64 * 1024];

    private readonly Geometry geometry = image.Geometry;
    private readonly List<long> released = [];

    /// <param name="below">Where the rest of a partly zeroed new grain comes from.</param>
    public async ValueTask<BlockStatus> WriteZeroesAsync(BlockRange range, RequestFlags flags, IBlockDevice? below)
    {
        if (image.Header.Version < 3)
        {
            return (flags & RequestFlags.FastOnly) != 0 ? BlockStatus.NotSupported : await WriteZeroBytesAsync(range, below);
        }

        BlockRange whole = WholeGrains(range);
        if (whole.IsEmpty)
        {
            return await WriteZeroBytesAsync(range, below);
        }

        BlockStatus status = await WriteZeroBytesAsync(BlockRange.FromTo(range.Offset, whole.Offset), below);
        if (status == BlockStatus.Ok && whole.End < range.End)
        {
            status = await WriteZeroBytesAsync(BlockRange.FromTo(whole.End, range.End), below);
        }

        ZeroMode mode = (flags & RequestFlags.MayUnmap) != 0 ? ZeroMode.Unmap : ZeroMode.Keep;
        return status == BlockStatus.Ok ? await ChangeAsync(whole, mode) : status;
    }

    public async ValueTask<BlockStatus> DiscardAsync(BlockRange range, ZeroMode mode)
    {
        BlockRange whole = WholeGrains(range);
        bool possible = image.Header.Version >= 3 || mode == ZeroMode.DiscardToHole;
        return whole.IsEmpty || !possible ? BlockStatus.Ok : await ChangeAsync(whole, mode);
    }

    /// <summary>Writes zero bytes where the range is allocated; elsewhere it reads as zero, or as what lies below, already.</summary>
    public async ValueTask<BlockStatus> ZeroTailAsync(BlockRange range)
    {
        if (range.IsEmpty)
        {
            return BlockStatus.Ok;
        }

        List<BlockExtent> extents = [];
        BlockStatus status = await new ReadPath(image).GetExtentsAsync(range, extents, maxExtents: 1);
        return status == BlockStatus.Ok && extents[0].Kind == ExtentKind.Data ? await WriteZeroBytesAsync(range, below: null) : status;
    }

    /// <summary>The whole grains inside a range; the last grain of the disk is whole at the disk's end.</summary>
    private BlockRange WholeGrains(BlockRange range)
    {
        long mask = geometry.GrainBytes - 1;
        long start = (range.Offset + mask) & ~mask;
        long end = range.End == image.Header.SizeBytes ? range.End : range.End & ~mask;
        return start < end ? BlockRange.FromTo(start, end) : new(range.Offset, 0);
    }

    private async ValueTask<BlockStatus> WriteZeroBytesAsync(BlockRange range, IBlockDevice? below)
    {
        BlockStatus status = BlockStatus.Ok;
        for (long at = range.Offset; at < range.End && status == BlockStatus.Ok; at += ZeroBytes.Length)
        {
            status = await writes.WriteAsync(at, ZeroBytes.AsMemory(0, (int)Math.Min(ZeroBytes.Length, range.End - at)), below);
        }

        return status;
    }

    private async ValueTask<BlockStatus> ChangeAsync(BlockRange range, ZeroMode mode)
    {
        long at = range.Offset;
        while (at < range.End)
        {
            ChangeStep step = await SharedStepAsync(at, range.End, mode);
            step = step.NeedsAlone ? await AloneStepAsync(at, range.End, mode) : step;
            if (step.Status != BlockStatus.Ok)
            {
                return step.Status;
            }

            at = step.End;
        }

        return BlockStatus.Ok;
    }

    private async ValueTask<ChangeStep> SharedStepAsync(long at, long end, ZeroMode mode)
    {
        await image.Gate.EnterSharedAsync();
        await image.Lock.EnterAsync();
        try
        {
            return await StepAsync(at, end, mode, alone: false);
        }
        finally
        {
            image.Lock.Exit();
            image.Gate.ExitShared();
        }
    }

    private async ValueTask<ChangeStep> AloneStepAsync(long at, long end, ZeroMode mode)
    {
        await image.Gate.EnterExclusiveAsync();
        await image.Lock.EnterAsync();
        try
        {
            BlockStatus status = await unsharing.UnshareTableAsync(geometry.L1Index(at));
            return status == BlockStatus.Ok ? await StepAsync(at, end, mode, alone: true) : new(status, at);
        }
        finally
        {
            image.Lock.Exit();
            image.Gate.ExitExclusive();
        }
    }

    /// <summary>At most one slice of entries, in one write.</summary>
    private async ValueTask<ChangeStep> StepAsync(long at, long end, ZeroMode mode, bool alone)
    {
        bool makesTable = mode is ZeroMode.Keep or ZeroMode.Unmap;
        (BlockStatus status, L2Slice? slice) = makesTable ? await image.SliceForWriteAsync(at) : await image.SliceAsync(at);
        end = Math.Min(end, geometry.SliceEnd(at));
        if (slice is null)
        {
            return new(status, end);
        }

        if ((image.Mapping.L1Entry(slice.L1Index) & L2Entry.Copied) == 0)
        {
            return new(BlockStatus.Ok, at, NeedsAlone: true);
        }

        int index = geometry.L2Index(at) & (geometry.SliceEntries - 1);
        Plan plan = Prepare(slice, index, at, end, mode, alone);
        if (plan.Entries == 0)
        {
            return new(BlockStatus.Ok, at, NeedsAlone: true);
        }

        if (plan.Changes)
        {
            status = await image.StoreEntriesAsync(slice, index, plan.Entries);
            image.CountAllocated(status == BlockStatus.Ok ? -plan.FreedBytes : 0);
        }

        for (int i = 0; i < released.Count && status == BlockStatus.Ok; i++)
        {
            status = await image.ReleaseAsync(released[i]);
        }

        return new(status, plan.End);
    }

    /// <summary>Fills the image's entries and <see cref="released"/>; stops before a cluster that has to be let go while not alone.</summary>
    private Plan Prepare(L2Slice slice, int index, long at, long end, ZeroMode mode, bool alone)
    {
        Plan plan = new(0, at, Changes: false, FreedBytes: 0);
        released.Clear();
        while (plan.End < end)
        {
            L2Entry old = slice[index + plan.Entries];
            long inCluster = geometry.OffsetInCluster(plan.End);
            long length = Math.Min(end - plan.End, geometry.ClusterBytes - inCluster);
            uint mask = geometry.SubclusterMask(inCluster, inCluster + length);
            L2Entry changed = Change(old, mask, mode);
            if (old.HasHost && !changed.HasHost)
            {
                if (!alone)
                {
                    break;
                }

                released.Add(old.HostOffset);
            }

            image.Entries[plan.Entries] = changed;
            long freed = (long)BitOperations.PopCount(old.Allocated & ~changed.Allocated) << geometry.GrainBits;
            plan = new(plan.Entries + 1, plan.End + length, plan.Changes || changed != old, plan.FreedBytes + freed);
        }

        return plan;
    }

    private static L2Entry Change(L2Entry old, uint mask, ZeroMode mode)
    {
        uint held = old.Allocated | old.Zero;
        uint allocated = old.Allocated & ~mask;
        uint zero = mode switch
        {
            ZeroMode.DiscardToHole => old.Zero & ~mask,
            ZeroMode.DiscardToZero => old.Zero | (mask & held),
            _ => old.Zero | mask,
        };
        bool letsGo = allocated == 0 && (mode != ZeroMode.Keep || !old.IsCopied);
        return letsGo ? new(0, IsCopied: false, 0, zero) : old with { Allocated = allocated, Zero = zero };
    }

    private readonly record struct ChangeStep(BlockStatus Status, long End, bool NeedsAlone = false);

    private readonly record struct Plan(int Entries, long End, bool Changes, long FreedBytes);
}
