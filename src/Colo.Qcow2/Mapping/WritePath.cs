using System.Buffers;
using System.Numerics;
using Colo.Blocks;
using Colo.Qcow2.Tables;

namespace Colo.Qcow2.Mapping;

/// <summary>How far one step of a write came; where clusters are shared with a snapshot, the caller has to unshare them first.</summary>
internal readonly record struct WriteStep(BlockStatus Status, int Bytes, bool IsShared = false);

/// <summary>
/// Writes data. Into a grain that is there: one write, no lock. Into a new grain: data, then the L2 entry, under the mapping lock,
/// so that two writes into halves of one new grain cannot lose each other's half.
/// </summary>
internal sealed class WritePath(ImageState image, Unsharing unsharing)
{
    private readonly Geometry geometry = image.Geometry;

    /// <param name="below">Where the rest of a partly written new grain comes from; null: zeroes.</param>
    public async ValueTask<BlockStatus> WriteAsync(long offset, ReadOnlyMemory<byte> source, IBlockDevice? below)
    {
        while (true)
        {
            WriteStep step = await WriteSharedAsync(offset, source, below);
            if (!step.IsShared)
            {
                return step.Status;
            }

            offset += step.Bytes;
            source = source[step.Bytes..];
            BlockStatus status = await unsharing.UnshareAsync(offset);
            if (status != BlockStatus.Ok)
            {
                return status;
            }
        }
    }

    private async ValueTask<WriteStep> WriteSharedAsync(long offset, ReadOnlyMemory<byte> source, IBlockDevice? below)
    {
        int done = 0;
        await image.Gate.EnterSharedAsync();
        try
        {
            while (done < source.Length)
            {
                MappedRun run = image.Mapping.FindWritable(offset + done, source.Length - done);
                int length = (int)run.LengthBytes;
                WriteStep step = length > 0
                    ? new(await image.File.WriteAsync(run.HostOffset, source.Slice(done, length)), length)
                    : await AllocateAsync(offset + done, source[done..], below);
                if (step.Status != BlockStatus.Ok || step.IsShared)
                {
                    return step with { Bytes = done };
                }

                done += step.Bytes;
            }

            return new(BlockStatus.Ok, done);
        }
        finally
        {
            image.Gate.ExitShared();
        }
    }

    private async ValueTask<WriteStep> AllocateAsync(long offset, ReadOnlyMemory<byte> source, IBlockDevice? below)
    {
        await image.Lock.EnterAsync();
        try
        {
            (BlockStatus status, L2Slice? slice) = await image.SliceForWriteAsync(offset);
            if (slice is null)
            {
                return new(status, 0);
            }

            int index = geometry.L2Index(offset) & (geometry.SliceEntries - 1);
            L2Entry entry = slice[index];
            bool tableIsShared = (image.Mapping.L1Entry(slice.L1Index) & L2Entry.Copied) == 0;
            if (tableIsShared || (entry.HasHost && !entry.IsCopied))
            {
                return new(BlockStatus.Ok, 0, IsShared: true);
            }

            return entry.HasHost
                ? await WriteIntoClusterAsync(slice, index, offset, source, below)
                : await WriteIntoNewClustersAsync(slice, index, offset, source, below);
        }
        finally
        {
            image.Lock.Exit();
        }
    }

    /// <summary>The cluster has its place in the file; at least one grain of the range is new.</summary>
    private async ValueTask<WriteStep> WriteIntoClusterAsync(L2Slice slice, int index, long offset, ReadOnlyMemory<byte> source, IBlockDevice? below)
    {
        L2Entry entry = slice[index];
        long inCluster = geometry.OffsetInCluster(offset);
        int length = (int)Math.Min(source.Length, geometry.ClusterBytes - inCluster);
        uint mask = geometry.SubclusterMask(inCluster, inCluster + length);
        NewGrains grains = new(entry.HostOffset + inCluster, ReadsAsZero: false, HeadIsNew(entry, inCluster), TailIsNew(entry, inCluster + length));
        BlockStatus status = await WriteDataAsync(grains, offset, source[..length], entry, entry, below);
        if (status == BlockStatus.Ok)
        {
            image.CountAllocated((long)BitOperations.PopCount(mask & ~entry.Allocated) << geometry.GrainBits);
            image.Entries[0] = entry with { Allocated = entry.Allocated | mask, Zero = entry.Zero & ~mask };
            status = await image.StoreEntriesAsync(slice, index, 1);
        }

        return new(status, length);
    }

    private async ValueTask<WriteStep> WriteIntoNewClustersAsync(L2Slice slice, int index, long offset, ReadOnlyMemory<byte> source, IBlockDevice? below)
    {
        long inCluster = geometry.OffsetInCluster(offset);
        int wanted = NewClusters(slice, index, (int)geometry.ClustersFor(inCluster + source.Length));
        (BlockStatus status, long first, int count) = await image.Allocator.AllocateAsync(wanted);
        if (status != BlockStatus.Ok)
        {
            return new(status, 0);
        }

        long host = first << geometry.ClusterBits;
        int length = (int)Math.Min(source.Length, ((long)count << geometry.ClusterBits) - inCluster);
        NewGrains grains = new(host + inCluster, image.Allocator.GivesZeroes, HeadIsNew: true, TailIsNew: true);
        status = await WriteDataAsync(grains, offset, source[..length], slice[index], slice[index + count - 1], below);
        if (status != BlockStatus.Ok)
        {
            image.Allocator.GiveBack(first, count);
            return new(status, 0);
        }

        FillEntries(slice, index, count, host, inCluster, inCluster + length);

        // A failed store leaks the clusters: the file may refer to them or not.
        return new(await image.StoreEntriesAsync(slice, index, count), length);
    }

    private int NewClusters(L2Slice slice, int index, int wanted)
    {
        int count = 1;
        while (count < wanted && index + count < geometry.SliceEntries && !slice[index + count].HasHost)
        {
            count++;
        }

        return count;
    }

    private void FillEntries(L2Slice slice, int index, int count, long host, long from, long to)
    {
        for (int i = 0; i < count; i++)
        {
            long clusterStart = (long)i << geometry.ClusterBits;
            uint mask = geometry.SubclusterMask(Math.Max(from - clusterStart, 0), Math.Min(to - clusterStart, geometry.ClusterBytes));
            image.Entries[i] = L2Entry.At(host + clusterStart, mask, slice[index + i].Zero & ~mask);
            image.CountAllocated((long)BitOperations.PopCount(mask) << geometry.GrainBits);
        }
    }

    private bool HeadIsNew(L2Entry entry, long inCluster) => ((entry.Allocated >> (int)(inCluster >> geometry.GrainBits)) & 1) == 0;

    private bool TailIsNew(L2Entry entry, long endInCluster) => ((entry.Allocated >> (int)((endInCluster - 1) >> geometry.GrainBits)) & 1) == 0;

    /// <summary>The data, and around it what makes its first and last grain whole.</summary>
    private async ValueTask<BlockStatus> WriteDataAsync(
        NewGrains grains, long offset, ReadOnlyMemory<byte> source, L2Entry head, L2Entry tail, IBlockDevice? below)
    {
        int grainMask = geometry.GrainBytes - 1;
        int headBytes = grains.HeadIsNew ? (int)(offset & grainMask) : 0;
        long end = offset + source.Length;
        int tailBytes = grains.TailIsNew ? (int)(-end & grainMask) : 0;
        BlockStatus status = await image.File.WriteAsync(grains.HostOffset, source);
        if (status != BlockStatus.Ok || (headBytes | tailBytes) == 0)
        {
            return status;
        }

        if (headBytes > 0)
        {
            status = await FillAsync(grains, grains.HostOffset - headBytes, offset - headBytes, headBytes, IsZero(head, offset) ? null : below);
        }

        if (tailBytes > 0 && status == BlockStatus.Ok)
        {
            status = await FillAsync(grains, grains.HostOffset + source.Length, end, tailBytes, IsZero(tail, end - 1) ? null : below);
        }

        // The filled part was durable elsewhere; its new place must be so before the entry leads there.
        return status == BlockStatus.Ok ? await image.BarrierAsync() : status;
    }

    private bool IsZero(L2Entry entry, long offset) => ((entry.Zero >> (int)(geometry.OffsetInCluster(offset) >> geometry.GrainBits)) & 1) != 0;

    private async ValueTask<BlockStatus> FillAsync(NewGrains grains, long host, long guest, int length, IBlockDevice? below)
    {
        if (below is null || guest >= below.LengthBytes)
        {
            return grains.ReadsAsZero ? BlockStatus.Ok : await image.File.ZeroAsync(new(host, length));
        }

        byte[] rented = ArrayPool<byte>.Shared.Rent(length);
        try
        {
            Memory<byte> content = rented.AsMemory(0, length);
            BlockStatus status = await ReadPath.ReadBelowAsync(below, guest, content);
            return status == BlockStatus.Ok ? await image.File.WriteAsync(host, content) : status;
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(rented);
        }
    }

    /// <summary>Where data of new grains goes, and which ends of it lie in a grain that nobody filled yet.</summary>
    private readonly record struct NewGrains(long HostOffset, bool ReadsAsZero, bool HeadIsNew, bool TailIsNew);
}
