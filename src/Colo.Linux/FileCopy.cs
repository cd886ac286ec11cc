using Colo.Blocks;
using Colo.Linux.Native;

namespace Colo.Linux;

/// <summary>Copies between files of one host, inside the kernel where it can (shared extents on file systems that have them).</summary>
public static class FileCopy
{
    /// <summary>Where the kernel refuses (two file systems of different kinds, O_DIRECT): this much at a time through our memory.</summary>
    private const int ChunkBytes = 1 << 20;

    /// <summary>
    /// Copies <paramref name="lengthBytes"/> bytes; holes of the source become zeroes of the target without being read. Blocks its
    /// own thread, not the caller's. Not durable before the target is flushed. Neither file may be changed in that range meanwhile.
    /// </summary>
    public static Task<BlockStatus> CopyAsync(
        RawFile source, long sourceOffset, RawFile target, long targetOffset, long lengthBytes, CancellationToken cancellationToken)
    {
        BlockStatus refusal = source.CheckRead(sourceOffset, lengthBytes);
        refusal = refusal == BlockStatus.Ok ? target.CheckWrite(targetOffset, lengthBytes) : refusal;
        return refusal != BlockStatus.Ok
            ? Task.FromResult(refusal)
            : Task.Run(() => CopyExtentsAsync(source, sourceOffset, target, targetOffset, lengthBytes, cancellationToken), cancellationToken);
    }

    private static async Task<BlockStatus> CopyExtentsAsync(
        RawFile source, long sourceOffset, RawFile target, long targetOffset, long lengthBytes, CancellationToken cancellationToken)
    {
        List<BlockExtent> extents = [];
        long shift = targetOffset - sourceOffset;
        long end = sourceOffset + lengthBytes;
        BlockStatus status = BlockStatus.Ok;
        for (long at = sourceOffset; at < end && status == BlockStatus.Ok;)
        {
            cancellationToken.ThrowIfCancellationRequested();
            extents.Clear();
            status = await source.GetExtentsAsync(BlockRange.FromTo(at, end), extents, maxExtents: 1);
            if (status == BlockStatus.Ok)
            {
                BlockRange run = extents[0].Range;
                at = run.End;
                status = (extents[0].Kind & ExtentKind.Zero) != 0
                    ? await target.WriteZeroesAsync(new BlockRange(run.Offset + shift, run.Length), RequestFlags.MayUnmap)
                    : await CopyDataAsync(source, run, target, shift, cancellationToken);
            }
        }

        return status;
    }

    private static async Task<BlockStatus> CopyDataAsync(
        RawFile source, BlockRange run, RawFile target, long shift, CancellationToken cancellationToken)
    {
        long at = run.Offset;
        while (at < run.End)
        {
            cancellationToken.ThrowIfCancellationRequested();
            long copied = CopyInKernel(source, target, at, at + shift, run.End - at);
            if (copied <= 0)
            {
                return copied is 0 or -Errno.EXDEV or -Errno.EINVAL or -Errno.EOPNOTSUPP or -Errno.ENOSYS
                    ? await CopyByHandAsync(source, BlockRange.FromTo(at, run.End), target, shift, cancellationToken)
                    : Errno.ToStatus((int)-copied);
            }

            at += copied;
        }

        return BlockStatus.Ok;
    }

    private static long CopyInKernel(RawFile source, RawFile target, long sourceOffset, long targetOffset, long lengthBytes)
    {
        if (!source.Descriptor.TryEnter())
        {
            return -Errno.EIO;
        }

        try
        {
            if (!target.Descriptor.TryEnter())
            {
                return -Errno.EIO;
            }

            try
            {
                return source.Descriptor.CopyTo(target.Descriptor, sourceOffset, targetOffset, lengthBytes);
            }
            finally
            {
                target.Descriptor.Exit();
            }
        }
        finally
        {
            source.Descriptor.Exit();
        }
    }

    private static async Task<BlockStatus> CopyByHandAsync(
        RawFile source, BlockRange run, RawFile target, long shift, CancellationToken cancellationToken)
    {
        using PooledBuffer buffer = await BufferPool.Shared.RentAsync(ChunkBytes, cancellationToken);
        BlockStatus status = BlockStatus.Ok;
        for (long at = run.Offset; at < run.End && status == BlockStatus.Ok; at += ChunkBytes)
        {
            cancellationToken.ThrowIfCancellationRequested();
            Memory<byte> chunk = buffer.Memory[..(int)Math.Min(ChunkBytes, run.End - at)];
            status = await source.ReadAsync(at, chunk);
            status = status == BlockStatus.Ok ? await target.WriteAsync(at + shift, chunk) : status;
        }

        return status;
    }
}
