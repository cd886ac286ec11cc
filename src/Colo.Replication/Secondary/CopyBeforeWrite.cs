using System.Runtime.CompilerServices;
using Colo.Blocks;

namespace Colo.Replication;

/// <summary>
/// Saves what the secondary disk holds into the hidden disk before the first overwrite of each grain in an epoch. Once per grain; a copy
/// that failed latches error 3, and the write must not happen.
/// </summary>
internal sealed class CopyBeforeWrite(IBlockDevice disk, BufferPolicy policy, ErrorLatch errors, IReplicationObserver observer)
{
    /// <summary>A run of untouched grains is copied in pieces of at most this: one read and one write for a 1 MiB request.</summary>
    private const int MaxRunBytes = 1 << 20;

    /// <summary>Ok: every grain of the range is in the hidden disk. Overflow: there is no room. Anything else: error 3 is latched.</summary>
    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    public async ValueTask<BlockStatus> CopyAsync(EpochBuffers buffers, BlockRange range)
    {
        DirtyBitmap copied = buffers.Copied;
        BlockRange grains = range.ExpandTo(copied.GrainBytes, copied.LengthBytes);
        if (!buffers.Copying.TryAcquire(grains, out RangeLock.Held held))
        {
            held = await buffers.Copying.AcquireAsync(grains);
        }

        try
        {
            long from = grains.Offset;
            while (from < grains.End && NextRun(copied, from, grains.End, out BlockRange run))
            {
                long end = await CopyRunAsync(buffers, run);
                if (end < 0)
                {
                    return (BlockStatus)(-end);
                }

                copied.Set(BlockRange.FromTo(run.Offset, end));
                observer.CopiedBeforeWrite(end - run.Offset);
                from = end;
            }
        }
        finally
        {
            held.Dispose();
        }

        if (buffers.AllocatedBytes >= policy.HighWaterBytes && buffers.TellHighWater())
        {
            observer.CheckpointWanted(CheckpointReason.HighWater);
        }

        return BlockStatus.Ok;
    }

    /// <summary>The first run of grains that are not copied yet; bounded, so that a huge bitmap is never searched for a small write.</summary>
    private static bool NextRun(DirtyBitmap copied, long from, long end, out BlockRange run)
    {
        while (from < end && copied.IsSet(from))
        {
            from += copied.GrainBytes;
        }

        long runEnd = from;
        while (runEnd < end && runEnd - from < MaxRunBytes && !copied.IsSet(runEnd))
        {
            runEnd = Math.Min(runEnd + copied.GrainBytes, end);
        }

        run = from < end ? BlockRange.FromTo(from, runEnd) : default;
        return from < end;
    }

    /// <summary>Where the copy ended; or a status, negated.</summary>
    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    private async ValueTask<long> CopyRunAsync(EpochBuffers buffers, BlockRange run)
    {
        using PooledBuffer old = BufferPool.Shared.TryRent((int)run.Length) ?? await BufferPool.Shared.RentAsync((int)run.Length);
        BlockStatus status = await disk.ReadAsync(run.Offset, old.Memory);
        if (status != BlockStatus.Ok)
        {
            return Failed(status, $"reading the old content of {run} from the secondary disk: {status}");
        }

        if (old.Span.IsAllZero())
        {
            status = await buffers.Hidden.WriteZeroesAsync(run, RequestFlags.MayUnmap);
        }
        else
        {
            if (buffers.AllocatedBytes + run.Length > policy.LimitBytes)
            {
                return -(long)BlockStatus.Overflow;
            }

            status = await buffers.Hidden.WriteAsync(run.Offset, old.Memory);
        }

        return status == BlockStatus.Ok ? run.End : Failed(status, $"saving the old content of {run} in the hidden disk: {status}");
    }

    private long Failed(BlockStatus status, string message)
    {
        errors.Report(ReplicationError.Backup, status, message);

        // Overflow means "no room" to the caller; a device that answers it has just failed.
        return -(long)(status == BlockStatus.Overflow ? BlockStatus.IoError : status);
    }
}
