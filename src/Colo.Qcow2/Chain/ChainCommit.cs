using System.Buffers;
using Colo.Blocks;

namespace Colo.Qcow2.Chain;

/// <summary>Copies a layer down into what lies below it; the layer is emptied only when all of it is durable there.</summary>
internal sealed class ChainCommit(Qcow2Image top, IBlockDevice below)
{
    private const int CopyBytes = 1024 * 1024;
    private const int ExtentsAtOnce = 256;

    public async ValueTask<BlockStatus> RunAsync()
    {
        if (top.Capabilities.IsReadOnly || below.Capabilities.IsReadOnly)
        {
            return BlockStatus.NotPermitted;
        }

        BlockStatus status = await MakeRoomAsync();
        status = status == BlockStatus.Ok ? await ForEachAsync(CopyAsync) : status;
        status = status == BlockStatus.Ok ? await below.FlushAsync() : status;
        return status == BlockStatus.Ok ? await top.MakeEmptyAsync() : status;
    }

    private async ValueTask<BlockStatus> MakeRoomAsync()
    {
        if (below.LengthBytes >= top.LengthBytes)
        {
            return BlockStatus.Ok;
        }

        return below switch
        {
            Qcow2Image image => await image.ResizeAsync(top.LengthBytes),
            Qcow2Chain chain => await chain.Top.ResizeAsync(top.LengthBytes),
            _ => await ForEachAsync(extent => new(Fits(extent) ? BlockStatus.Ok : BlockStatus.NoSpace)),
        };
    }

    private bool Fits(BlockExtent extent) => extent.Kind != ExtentKind.Data || extent.Range.End <= below.LengthBytes;

    private async ValueTask<BlockStatus> ForEachAsync(Func<BlockExtent, ValueTask<BlockStatus>> handle)
    {
        List<BlockExtent> extents = [];
        for (long at = 0; at < top.LengthBytes; at = extents[^1].Range.End)
        {
            extents.Clear();
            BlockStatus status = await top.GetExtentsAsync(BlockRange.FromTo(at, top.LengthBytes), extents, ExtentsAtOnce);
            for (int i = 0; i < extents.Count && status == BlockStatus.Ok; i++)
            {
                status = (extents[i].Kind & ExtentKind.Hole) == 0 ? await handle(extents[i]) : BlockStatus.Ok;
            }

            if (status != BlockStatus.Ok)
            {
                return status;
            }
        }

        return BlockStatus.Ok;
    }

    private async ValueTask<BlockStatus> CopyAsync(BlockExtent extent)
    {
        if (extent.Kind == ExtentKind.Zero)
        {
            // Past the end of what lies below there is nothing to zero.
            long end = Math.Min(extent.Range.End, below.LengthBytes);
            return extent.Range.Offset >= end
                ? BlockStatus.Ok
                : await below.WriteZeroesAsync(BlockRange.FromTo(extent.Range.Offset, end), RequestFlags.MayUnmap);
        }

        byte[] rented = ArrayPool<byte>.Shared.Rent(CopyBytes);
        try
        {
            BlockStatus status = BlockStatus.Ok;
            for (long at = extent.Range.Offset; at < extent.Range.End && status == BlockStatus.Ok; at += CopyBytes)
            {
                Memory<byte> part = rented.AsMemory(0, (int)Math.Min(CopyBytes, extent.Range.End - at));
                status = await top.ReadAsync(at, part);
                status = status == BlockStatus.Ok ? await below.WriteAsync(at, part) : status;
            }

            return status;
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(rented);
        }
    }
}
