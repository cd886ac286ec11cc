using Colo.Blocks;

namespace Colo.Replication;

/// <summary>
/// A promoted secondary at its last checkpoint: serves active over hidden over secondary disk at once, and meanwhile commits the upper two
/// into the lower. Until the commit is complete the buffers stay the truth for every grain they hold, so that doing it again after a
/// kill, from the start, gives the same disk.
/// </summary>
/// <remarks>Guest writes go to the active disk where the active or hidden disk holds the grain, and through to the secondary disk as well,
/// whether the commit has passed there or not; elsewhere to the secondary disk alone. After a failed commit (FAILOVER_FAILED) nothing
/// goes through any more.</remarks>
internal sealed class FailoverCommit(IBlockDevice disk, EpochBuffers buffers, ActiveDisk view, ErrorLatch errors)
{
    private const int ChunkBytes = 1 << 20;

    /// <summary>Between the committer and the guest's writes.</summary>
    private readonly RangeLock inFlight = new();
    private volatile bool failed;

    /// <summary>Set before a new try after a failure.</summary>
    public bool HasFailed
    {
        get => failed;
        set => failed = value;
    }

    /// <summary>After a complete run: what it wrote is durable, and the disk alone is recorded as the truth.</summary>
    public async ValueTask<bool> TryRecordAsync(EpochPairs pairs, long epoch)
    {
        // A guest write may have been flushed only to the active disk while the commit ran.
        BlockStatus flushed = await disk.FlushAsync();
        if (flushed != BlockStatus.Ok)
        {
            errors.Report(ReplicationError.FailoverCommit, flushed, $"flushing the committed secondary disk: {flushed}");
            return false;
        }

        try
        {
            await pairs.CommitAsync(new EpochRecord(epoch, EpochPhase.Done), taken: null);
            return true;
        }
        catch (ReplicationException e)
        {
            errors.Report(ReplicationError.FailoverCommit, BlockStatus.IoError, e.Message);
            return false;
        }
    }

    public ValueTask<BlockStatus> ReadAsync(long offsetBytes, Memory<byte> destination) => view.ReadAsync(buffers, offsetBytes, destination);

    public async ValueTask<BlockStatus> WriteAsync(BlockRange range, ReadOnlyMemory<byte> source, RequestFlags flags, bool zeroes)
    {
        using RangeLock.Held held = await inFlight.AcquireAsync(range.ExpandTo(GrainBytes, disk.LengthBytes));
        for (long offset = range.Offset; offset < range.End;)
        {
            BlockRange piece = NextPiece(offset, range.End, out bool isBuffered);
            ReadOnlyMemory<byte> data = zeroes ? default : source.Slice((int)(offset - range.Offset), (int)piece.Length);
            BlockStatus status = BlockStatus.Ok;
            if (isBuffered)
            {
                status = await view.WriteAsync(buffers, piece, data, flags, zeroes);
            }

            if (status == BlockStatus.Ok && !(isBuffered && failed))
            {
                status = zeroes
                    ? await ZeroFallback.WriteZeroesAsync(disk, piece, flags & ~RequestFlags.FastOnly)
                    : await disk.WriteAsync(piece.Offset, data, flags);
            }

            if (status != BlockStatus.Ok)
            {
                errors.Report(ReplicationError.SecondaryDisk, status, $"a write at {piece} during failover: {status}");
                return status;
            }

            offset = piece.End;
        }

        return BlockStatus.Ok;
    }

    public async ValueTask<BlockStatus> FlushAsync()
    {
        BlockStatus active = await buffers.Active.FlushAsync();
        BlockStatus secondary = await disk.FlushAsync();
        return secondary != BlockStatus.Ok ? secondary : active;
    }

    /// <summary>Copies all that the buffers hold into the secondary disk and makes it durable. Error 7 is latched where that fails.</summary>
    public async Task<bool> RunAsync(CancellationToken token)
    {
        for (long from = 0; NextHeld(from, out BlockRange run); from = run.End)
        {
            token.ThrowIfCancellationRequested();
            BlockStatus status = await CommitAsync(run);
            if (status != BlockStatus.Ok)
            {
                return Fail(status, $"committing {run} into the secondary disk: {status}");
            }
        }

        BlockStatus flushed = await disk.FlushAsync();
        return flushed == BlockStatus.Ok || Fail(flushed, $"flushing the committed secondary disk: {flushed}");
    }

    private int GrainBytes => Math.Max(buffers.Copied.GrainBytes, buffers.Written.GrainBytes);

    private async ValueTask<BlockStatus> CommitAsync(BlockRange run)
    {
        using RangeLock.Held held = await inFlight.AcquireAsync(run.ExpandTo(GrainBytes, disk.LengthBytes));
        using PooledBuffer content = await BufferPool.Shared.RentAsync((int)run.Length);
        BlockStatus status = await view.ReadAsync(buffers, run.Offset, content.Memory);
        if (status != BlockStatus.Ok)
        {
            return status;
        }

        return content.Span.IsAllZero()
            ? await ZeroFallback.WriteZeroesAsync(disk, run, RequestFlags.MayUnmap)
            : await disk.WriteAsync(run.Offset, content.Memory);
    }

    /// <summary>The next run that one of the buffers holds.</summary>
    private bool NextHeld(long from, out BlockRange run)
    {
        bool copied = buffers.Copied.TryFindSet(from, out BlockRange hidden, ChunkBytes);
        bool written = buffers.Written.TryFindSet(from, out BlockRange active, ChunkBytes);
        run = !written || (copied && hidden.Offset <= active.Offset) ? hidden : active;
        return copied || written;
    }

    private BlockRange NextPiece(long offset, long end, out bool isBuffered)
    {
        int grain = Math.Min(buffers.Copied.GrainBytes, buffers.Written.GrainBytes);
        isBuffered = IsBuffered(offset);
        long next = (offset / grain * grain) + grain;
        while (next < end && IsBuffered(next) == isBuffered)
        {
            next += grain;
        }

        return BlockRange.FromTo(offset, Math.Min(next, end));
    }

    private bool IsBuffered(long offset) => buffers.Written.IsSet(offset) || buffers.Copied.IsSet(offset);

    private bool Fail(BlockStatus status, string message)
    {
        failed = true;
        errors.Report(ReplicationError.FailoverCommit, status, message);
        return false;
    }
}
