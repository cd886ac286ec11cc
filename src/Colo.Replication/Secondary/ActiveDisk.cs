using System.Runtime.CompilerServices;
using Colo.Blocks;

namespace Colo.Replication;

/// <summary>
/// What the secondary VM sees: active over hidden over secondary disk. Its caller sees to it that all of one request happens in one
/// epoch, by holding the gate.
/// </summary>
internal sealed class ActiveDisk(IBlockDevice disk, ErrorLatch errors)
{
    private enum Layer
    {
        Active,
        Hidden,
        Secondary,
    }

    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    public async ValueTask<BlockStatus> ReadAsync(EpochBuffers buffers, long offsetBytes, Memory<byte> destination)
    {
        while (!destination.IsEmpty)
        {
            Layer layer = Locate(buffers, offsetBytes, destination.Length, out int length);
            Memory<byte> piece = destination[..length];
            BlockStatus status = layer switch
            {
                Layer.Active => await buffers.Active.ReadAsync(offsetBytes, piece),
                Layer.Hidden => await buffers.Hidden.ReadAsync(offsetBytes, piece),
                _ => await disk.ReadAsync(offsetBytes, piece),
            };
            if (status != BlockStatus.Ok)
            {
                Report(layer, status, $"a read of {length} bytes at {offsetBytes}");
                return status;
            }

            // A grain's bit is set before its overwrite begins: still clear means that what was read is the old content.
            if (layer == Layer.Secondary && buffers.Copied.IsAnySet(new(offsetBytes, length)))
            {
                continue;
            }

            offsetBytes += length;
            destination = destination[length..];
        }

        return BlockStatus.Ok;
    }

    /// <summary>Writes into the active disk: whole grains as they are, the ends of the range filled from the view.</summary>
    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    public async ValueTask<BlockStatus> WriteAsync(
        EpochBuffers buffers, BlockRange range, ReadOnlyMemory<byte> source, RequestFlags flags, bool zeroes)
    {
        DirtyBitmap written = buffers.Written;
        BlockRange grains = range.ExpandTo(written.GrainBytes, written.LengthBytes);
        if (!buffers.Filling.TryAcquire(grains, out RangeLock.Held held))
        {
            held = await buffers.Filling.AcquireAsync(grains);
        }

        try
        {
            BlockStatus status = BlockStatus.Ok;
            long offset = range.Offset;
            while (offset < range.End && status == BlockStatus.Ok)
            {
                long end = NextPiece(written, offset, range.End, out bool whole);
                BlockRange piece = BlockRange.FromTo(offset, end);
                ReadOnlyMemory<byte> data = zeroes ? default : source.Slice((int)(offset - range.Offset), (int)piece.Length);
                status = whole || written.IsSet(offset)
                    ? await PutAsync(buffers.Active, piece, data, flags, zeroes)
                    : await FillAsync(buffers, piece, data, flags, zeroes);
                if (status == BlockStatus.Ok)
                {
                    written.Set(piece);
                }

                offset = end;
            }

            if (status != BlockStatus.Ok)
            {
                Report(Layer.Active, status, $"a write at {range}");
            }

            return status;
        }
        finally
        {
            held.Dispose();
        }
    }

    /// <summary>The layer that holds the grain at an offset, and for how many bytes on the same is true.</summary>
    private static Layer Locate(EpochBuffers buffers, long offsetBytes, int maxBytes, out int length)
    {
        // The smaller of the two grains: both change only at its multiples.
        int grain = Math.Min(buffers.Copied.GrainBytes, buffers.Written.GrainBytes);
        Layer layer = LayerOf(buffers, offsetBytes);
        long end = offsetBytes + maxBytes;
        long next = (offsetBytes / grain * grain) + grain;
        while (next < end && LayerOf(buffers, next) == layer)
        {
            next += grain;
        }

        length = (int)(Math.Min(next, end) - offsetBytes);
        return layer;
    }

    private static Layer LayerOf(EpochBuffers buffers, long offset) =>
        buffers.Written.IsSet(offset) ? Layer.Active : buffers.Copied.IsSet(offset) ? Layer.Hidden : Layer.Secondary;

    /// <summary>The end of the part of one grain at an incomplete end of the range, or of all the whole grains in its middle.</summary>
    private static long NextPiece(DirtyBitmap written, long offset, long end, out bool whole)
    {
        int grain = written.GrainBytes;
        long grainEnd = Math.Min((offset / grain * grain) + grain, written.LengthBytes);
        whole = offset % grain == 0 && grainEnd <= end;
        if (!whole)
        {
            return Math.Min(grainEnd, end);
        }

        return end == written.LengthBytes ? end : end / grain * grain;
    }

    private async ValueTask<BlockStatus> FillAsync(
        EpochBuffers buffers, BlockRange piece, ReadOnlyMemory<byte> data, RequestFlags flags, bool zeroes)
    {
        BlockRange grain = piece.ExpandTo(buffers.Written.GrainBytes, buffers.Written.LengthBytes);
        using PooledBuffer whole = BufferPool.Shared.TryRent((int)grain.Length) ?? await BufferPool.Shared.RentAsync((int)grain.Length);
        BlockStatus status = await ReadAsync(buffers, grain.Offset, whole.Memory);
        if (status != BlockStatus.Ok)
        {
            return status;
        }

        Span<byte> part = whole.Span.Slice((int)(piece.Offset - grain.Offset), (int)piece.Length);
        if (zeroes)
        {
            part.Clear();
        }
        else
        {
            data.Span.CopyTo(part);
        }

        return await buffers.Active.WriteAsync(grain.Offset, whole.Memory, flags & RequestFlags.ForceUnitAccess);
    }

    private static ValueTask<BlockStatus> PutAsync(
        IOverlayDevice active, BlockRange piece, ReadOnlyMemory<byte> data, RequestFlags flags, bool zeroes) =>
        zeroes ? active.WriteZeroesAsync(piece, flags & ~RequestFlags.FastOnly) : active.WriteAsync(piece.Offset, data, flags);

    private void Report(Layer layer, BlockStatus status, string what)
    {
        (ReplicationError number, string name) = layer switch
        {
            Layer.Active => (ReplicationError.ActiveDisk, "active disk"),
            Layer.Hidden => (ReplicationError.ActiveDisk, "hidden disk"),
            _ => (ReplicationError.SecondaryDisk, "secondary disk"),
        };
        errors.Report(number, status, $"{what} of the secondary VM on the {name}: {status}");
    }
}
