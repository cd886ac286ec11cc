using System.Buffers;
using System.Numerics;
using Colo.Blocks;
using Colo.Qcow2.Tables;

namespace Colo.Qcow2.Mapping;

/// <summary>
/// Copy-on-write against internal snapshots: gives one guest cluster an L2 table and a host cluster of its own (COPIED), before it
/// is written. Alone in the image: the old cluster loses a reference under nobody's feet.
/// </summary>
internal sealed class Unsharing(ImageState image)
{
    private readonly Geometry geometry = image.Geometry;

    public async ValueTask<BlockStatus> UnshareAsync(long guestOffset)
    {
        await image.Gate.EnterExclusiveAsync();
        await image.Lock.EnterAsync();
        try
        {
            BlockStatus status = await UnshareTableAsync(geometry.L1Index(guestOffset));
            return status == BlockStatus.Ok ? await UnshareClusterAsync(guestOffset) : status;
        }
        finally
        {
            image.Lock.Exit();
            image.Gate.ExitExclusive();
        }
    }

    /// <summary>Under lock and gate. The clusters that the table maps stay shared: their counts include this copy already.</summary>
    public async ValueTask<BlockStatus> UnshareTableAsync(int l1Index)
    {
        ulong l1Entry = image.Mapping.L1Entry(l1Index);
        long old = MappingTables.L2Offset(l1Entry);
        if (old == 0 || (l1Entry & L2Entry.Copied) != 0)
        {
            return BlockStatus.Ok;
        }

        (BlockStatus status, long cluster, int _) = await image.Allocator.AllocateAsync(1);
        if (status != BlockStatus.Ok)
        {
            return status;
        }

        long copy = cluster << geometry.ClusterBits;
        status = await CopyAsync(old, copy, geometry.ClusterBytes);
        status = status == BlockStatus.Ok ? await image.LinkTableAsync(l1Index, copy) : status;
        image.Mapping.Forget(l1Index);
        return status == BlockStatus.Ok ? await image.ReleaseAsync(old) : status;
    }

    private async ValueTask<BlockStatus> UnshareClusterAsync(long guestOffset)
    {
        (BlockStatus status, L2Slice? slice) = await image.SliceAsync(guestOffset);
        int index = geometry.L2Index(guestOffset) & (geometry.SliceEntries - 1);
        if (slice is null || !slice[index].HasHost || slice[index].IsCopied)
        {
            return status;
        }

        L2Entry entry = slice[index];
        (status, long cluster, int _) = await image.Allocator.AllocateAsync(1);
        if (status != BlockStatus.Ok)
        {
            return status;
        }

        long copy = cluster << geometry.ClusterBits;
        status = await CopyAllocatedAsync(entry, copy);
        status = status == BlockStatus.Ok ? await image.BarrierAsync() : status;
        if (status != BlockStatus.Ok)
        {
            return status;
        }

        image.Entries[0] = L2Entry.At(copy, entry.Allocated, entry.Zero);
        status = await image.StoreEntriesAsync(slice, index, 1);
        return status == BlockStatus.Ok ? await image.ReleaseAsync(entry.HostOffset) : status;
    }

    private async ValueTask<BlockStatus> CopyAllocatedAsync(L2Entry entry, long copy)
    {
        BlockStatus status = BlockStatus.Ok;
        for (uint rest = entry.Allocated; rest != 0 && status == BlockStatus.Ok;)
        {
            int first = BitOperations.TrailingZeroCount(rest);
            int run = BitOperations.TrailingZeroCount(~((ulong)rest >> first));
            long at = (long)first << geometry.GrainBits;
            status = await CopyAsync(entry.HostOffset + at, copy + at, run << geometry.GrainBits);
            rest &= (uint)~(((1UL << run) - 1) << first);
        }

        return status;
    }

    private async ValueTask<BlockStatus> CopyAsync(long from, long to, int length)
    {
        byte[] rented = ArrayPool<byte>.Shared.Rent(length);
        try
        {
            Memory<byte> content = rented.AsMemory(0, length);
            BlockStatus status = await image.File.ReadAsync(from, content);
            return status == BlockStatus.Ok ? await image.File.WriteAsync(to, content) : status;
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(rented);
        }
    }
}
