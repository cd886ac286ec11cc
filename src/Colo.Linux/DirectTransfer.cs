using Colo.Blocks;

namespace Colo.Linux;

/// <summary>
/// O_DIRECT: what is aligned goes straight to the disk; the rest goes by the worker's bounce buffer, and a write that covers a
/// block in part reads it first. The caller holds the range, expanded to whole blocks, exclusively.
/// </summary>
internal sealed class DirectTransfer(FileDescriptor descriptor, int offsetAlignment, int memoryAlignment)
{
    public BlockStatus Read(long offsetBytes, Span<byte> destination, BounceBuffer bounce)
    {
        if (IsAligned(offsetBytes, destination))
        {
            return descriptor.Read(offsetBytes, destination);
        }

        while (!destination.IsEmpty)
        {
            Window window = WindowAt(offsetBytes, destination.Length);
            Span<byte> blocks = bounce.Span[..window.LengthBytes];
            BlockStatus status = descriptor.Read(window.Start, blocks);
            if (status != BlockStatus.Ok)
            {
                return status;
            }

            blocks.Slice(window.Skip, window.Use).CopyTo(destination);
            destination = destination[window.Use..];
            offsetBytes += window.Use;
        }

        return BlockStatus.Ok;
    }

    public BlockStatus Write(long offsetBytes, ReadOnlySpan<byte> source, BounceBuffer bounce)
    {
        if (IsAligned(offsetBytes, source))
        {
            return descriptor.Write(offsetBytes, source);
        }

        while (!source.IsEmpty)
        {
            Window window = WindowAt(offsetBytes, source.Length);
            Span<byte> blocks = bounce.Span[..window.LengthBytes];
            BlockStatus status = ReadPartialBlocks(window, blocks);
            if (status != BlockStatus.Ok)
            {
                return status;
            }

            source[..window.Use].CopyTo(blocks[window.Skip..]);
            status = descriptor.Write(window.Start, blocks);
            if (status != BlockStatus.Ok)
            {
                return status;
            }

            source = source[window.Use..];
            offsetBytes += window.Use;
        }

        return BlockStatus.Ok;
    }

    /// <summary>Reads the first and the last block of the window where the write covers them in part.</summary>
    private BlockStatus ReadPartialBlocks(Window window, Span<byte> blocks)
    {
        BlockStatus status = BlockStatus.Ok;
        int lastBlock = window.LengthBytes - offsetAlignment;
        bool tailIsPartial = window.Skip + window.Use < window.LengthBytes;
        if (window.Skip > 0 || (tailIsPartial && lastBlock == 0))
        {
            status = descriptor.Read(window.Start, blocks[..offsetAlignment]);
        }

        if (status == BlockStatus.Ok && tailIsPartial && lastBlock > 0)
        {
            status = descriptor.Read(window.Start + lastBlock, blocks[lastBlock..]);
        }

        return status;
    }

    private Window WindowAt(long offsetBytes, int lengthBytes)
    {
        int skip = (int)(offsetBytes & (offsetAlignment - 1));
        int use = Math.Min(lengthBytes, BounceBuffer.LengthBytes - skip);
        int whole = (skip + use + offsetAlignment - 1) & -offsetAlignment;
        return new Window(offsetBytes - skip, whole, skip, use);
    }

    public unsafe bool IsAligned(long offsetBytes, ReadOnlySpan<byte> memory)
    {
        fixed (byte* start = memory)
        {
            return ((offsetBytes | (long)memory.Length) & (offsetAlignment - 1)) == 0 && ((long)start & (memoryAlignment - 1)) == 0;
        }
    }

    /// <summary>Whole blocks at Start; the request's bytes are Use bytes behind Skip.</summary>
    private readonly record struct Window(long Start, int LengthBytes, int Skip, int Use);
}
