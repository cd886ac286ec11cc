using System.Buffers.Binary;
using Colo.Blocks;
using Colo.Qcow2.Header;
using Colo.Qcow2.Tables;

namespace Colo.Qcow2.Mapping;

/// <summary>
/// Makes the virtual disk longer. A larger L1 table is written beside the old one; size and L1 table change in the header in one
/// write; then the old table's clusters are given back.
/// </summary>
internal sealed class Growing(ImageState image, Zeroing zeroing)
{
    private readonly Geometry geometry = image.Geometry;

    public async ValueTask<BlockStatus> ResizeAsync(long lengthBytes)
    {
        long old = image.Header.SizeBytes;
        long l1Entries = geometry.L1EntriesFor(lengthBytes);
        if (lengthBytes < old)
        {
            return BlockStatus.NotSupported;
        }

        if (l1Entries > HeaderLayout.MaximumL1Entries)
        {
            return BlockStatus.InvalidArgument;
        }

        await image.Gate.EnterExclusiveAsync();
        await image.Lock.EnterAsync();
        try
        {
            BlockStatus status = await ExtendL1Async((int)l1Entries, lengthBytes);
            if (status != BlockStatus.Ok)
            {
                return status;
            }
        }
        finally
        {
            image.Lock.Exit();
            image.Gate.ExitExclusive();
        }

        // Another writer may have left anything behind the old end in the grain that held it.
        long grainEnd = Math.Min((old + geometry.GrainBytes - 1) & -geometry.GrainBytes, lengthBytes);
        return await zeroing.ZeroTailAsync(BlockRange.FromTo(old, grainEnd));
    }

    private async ValueTask<BlockStatus> ExtendL1Async(int l1Entries, long lengthBytes)
    {
        Qcow2Header old = image.Header;
        Qcow2Header grown = old with { SizeBytes = lengthBytes };
        BlockStatus status = BlockStatus.Ok;
        if (l1Entries > old.L1Entries)
        {
            int clusters = (int)geometry.ClustersFor(l1Entries * 8L);
            (status, long first) = await image.Allocator.AllocateRowAsync(clusters);
            grown = grown with { L1Entries = l1Entries, L1Offset = first << geometry.ClusterBits };
            status = status == BlockStatus.Ok ? await WriteL1Async(grown, clusters) : status;
        }

        status = status == BlockStatus.Ok ? await image.WriteHeaderAsync(HeaderLayout.Size, HeaderWriter.SizeAndL1(grown)) : status;
        if (status != BlockStatus.Ok)
        {
            return status;
        }

        image.Header = grown;
        if (grown.L1Entries > old.L1Entries)
        {
            image.Mapping.Reset(image.Mapping.CopyL1(l1Entries), keepSlices: true);
            status = await ReleaseOldAsync(old);
        }

        return status;
    }

    private async ValueTask<BlockStatus> WriteL1Async(Qcow2Header grown, int clusters)
    {
        byte[] bytes = new byte[clusters << geometry.ClusterBits];
        for (int i = 0; i < image.Mapping.L1Entries; i++)
        {
            BinaryPrimitives.WriteUInt64BigEndian(bytes.AsSpan(i * 8), image.Mapping.L1Entry(i));
        }

        BlockStatus status = await image.File.WriteAsync(grown.L1Offset, bytes);
        return status == BlockStatus.Ok ? await image.BarrierAsync() : status;
    }

    private async ValueTask<BlockStatus> ReleaseOldAsync(Qcow2Header old)
    {
        BlockStatus status = BlockStatus.Ok;
        for (long at = 0; at < old.L1Entries * 8L && status == BlockStatus.Ok; at += geometry.ClusterBytes)
        {
            status = await image.ReleaseAsync(old.L1Offset + at);
        }

        return status;
    }
}
