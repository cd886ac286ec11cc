using Colo.Blocks;

namespace Colo.Replication;

/// <summary>
/// Copies what differs to an attached secondary, in disk order, while the guest writes. One pass is enough: guest writes are forwarded
/// as well, and the copier takes each chunk's in-flight range, so that of an overlapping pair the secondary gets the newer last.
/// </summary>
internal sealed class ResyncCopy
{
    /// <summary>Chunks on their way at once: one is read while another travels and a third is written.</summary>
    private const int Workers = 4;

    /// <summary>A chunk in more pieces than this is sent whole: small requests cost more than the zeroes between them.</summary>
    private const int MaxPieces = 16;

    /// <summary>Not worth a question for its holes: the question costs more than the zeroes.</summary>
    private const int SmallBytes = 64 << 10;

    private readonly Attachment attachment;
    private readonly DirtyBitmap toCopy;
    private readonly IBlockDevice local;
    private readonly ReplicaLineage? lineage;
    private readonly ResyncPace pace;
    private readonly long totalBytes;
    private readonly RequestGate gate;
    private readonly RangeLock inFlight;
    private readonly PrimaryReplicaOptions options;
    private readonly TimeProvider time;
    private readonly IReplicationObserver observer;
    private readonly Lock counting = new();
    private readonly long startedAt;
    private readonly DateTimeOffset started;
    private long nextOffset;
    private long doneBytes;
    private long zeroBytes;
    private List<BlockRange> copied = [];
    private long copiedBytes;
    private string? failure;

    public ResyncCopy(
        Attachment attachment,
        Quorum quorum,
        RequestGate gate,
        RangeLock inFlight,
        ReplicaLineage? lineage,
        PrimaryReplicaOptions options,
        TimeProvider time,
        IReplicationObserver observer)
    {
        this.attachment = attachment;
        local = quorum.Local;
        this.lineage = attachment.Mode == ResyncMode.Recopy ? null : lineage;
        toCopy = attachment.ToCopy ?? throw new ArgumentException("nothing is to be copied", nameof(attachment));
        totalBytes = toCopy.SetBytes;
        pace = new ResyncPace(() => quorum.Requests, options.ResyncBytesPerSecond, time);
        this.gate = gate;
        this.inFlight = inFlight;
        this.options = options;
        this.time = time;
        this.observer = observer;
        startedAt = time.GetTimestamp();
        started = time.GetUtcNow();
        Progress = Measure(ResyncState.Copying);
    }

    public ResyncProgress Progress { get; private set; }

    /// <summary>Which side failed the copy.</summary>
    public ReplicationError FailedSide { get; private set; } = ReplicationError.Forward;

    public BlockStatus FailedStatus { get; private set; }

    /// <summary>Copies all; true where every chunk was answered Ok. Durable only after a flush of both.</summary>
    public async Task<bool> CopyAllAsync()
    {
        Publish(ResyncState.Copying);
        Task[] workers = new Task[Workers];
        for (int i = 0; i < Workers; i++)
        {
            workers[i] = CopyChunksAsync();
        }

        await Task.WhenAll(workers);
        return failure is null && !attachment.Stopped.IsCancellationRequested;
    }

    public void End(bool completed, string? reason = null)
    {
        lock (counting)
        {
            failure = completed ? null : failure ?? reason ?? "the secondary was detached";

            // What a read had made equal ahead of its turn is not copied again.
            doneBytes = completed && attachment.Mode == ResyncMode.Recopy ? totalBytes : doneBytes;
        }

        Publish(completed ? ResyncState.Completed : ResyncState.Interrupted);
    }

    /// <summary>Makes one range equal on both sides, under its in-flight lock.</summary>
    public async ValueTask<bool> CopyAsync(BlockRange range)
    {
        await gate.EnterAsync();
        try
        {
            using RangeLock.Held held = await inFlight.AcquireAsync(range);
            if (attachment.Stopped.IsCancellationRequested || !await CopyPiecesAsync(range))
            {
                return false;
            }

            attachment.Unsure?.Clear(range);
            return true;
        }
        finally
        {
            gate.Exit();
        }
    }

    private async Task CopyChunksAsync()
    {
        while (failure is null && TakeChunk(out BlockRange chunk))
        {
            long began = time.GetTimestamp();
            if (!await CopyAsync(chunk))
            {
                return;
            }

            lock (counting)
            {
                doneBytes += chunk.Length;
            }

            Publish(ResyncState.Copying);
            await SettleAsync(chunk);
            await pace.KeepAsync(chunk.Length, time.GetElapsedTime(began), attachment.Stopped);
        }
    }

    /// <summary>Clears what was copied, a lot at a time, after the secondary has answered a flush that began behind it.</summary>
    private async ValueTask SettleAsync(BlockRange chunk)
    {
        if (lineage is null)
        {
            return;
        }

        List<BlockRange> lot;
        lock (counting)
        {
            copied.Add(chunk);
            copiedBytes += chunk.Length;
            if (copiedBytes < options.ResyncSettleBytes)
            {
                return;
            }

            (lot, copied, copiedBytes) = (copied, [], 0);
        }

        BlockStatus flushed = await attachment.Link.FlushAsync();
        if (flushed == BlockStatus.Ok)
        {
            lineage.Copied(attachment.Number, lot);
        }
        else
        {
            Fail(ReplicationError.Forward, flushed, $"a flush of the secondary during the copy: {flushed}");
        }
    }

    private bool TakeChunk(out BlockRange chunk)
    {
        lock (counting)
        {
            if (!toCopy.TryFindSet(nextOffset, out chunk, options.ResyncChunkBytes))
            {
                return false;
            }

            nextOffset = chunk.End;
            return !attachment.Stopped.IsCancellationRequested;
        }
    }

    private async ValueTask<bool> CopyPiecesAsync(BlockRange range)
    {
        if (range.Length <= SmallBytes)
        {
            return await CopyPieceAsync(new(range, ExtentKind.Data));
        }

        List<BlockExtent> pieces = [];
        BlockStatus status = await local.GetExtentsAsync(range, pieces, MaxPieces + 1);
        if (status != BlockStatus.Ok || pieces.Count > MaxPieces)
        {
            pieces = [new(range, ExtentKind.Data)];
        }

        long from = range.Offset;
        foreach (BlockExtent piece in pieces)
        {
            if (!await CopyPieceAsync(piece))
            {
                return false;
            }

            from = piece.Range.End;
        }

        // A device may tell of a prefix only.
        BlockRange rest = BlockRange.FromTo(from, range.End);
        return rest.IsEmpty || await CopyPieceAsync(new(rest, ExtentKind.Data));
    }

    private async ValueTask<bool> CopyPieceAsync(BlockExtent piece)
    {
        if ((piece.Kind & ExtentKind.Zero) != 0)
        {
            return await SendZeroesAsync(piece.Range);
        }

        for (long offset = piece.Range.Offset; offset < piece.Range.End; offset += options.ResyncChunkBytes)
        {
            int length = (int)Math.Min(options.ResyncChunkBytes, piece.Range.End - offset);
            using PooledBuffer buffer = await BufferPool.Shared.RentAsync(length, CancellationToken.None);
            BlockStatus read = await local.ReadAsync(offset, buffer.Memory);
            if (read != BlockStatus.Ok)
            {
                return Fail(ReplicationError.PrimaryDisk, read, $"reading {length} bytes at {offset} of the primary disk: {read}");
            }

            if (buffer.Span.IsAllZero())
            {
                if (!await SendZeroesAsync(new(offset, length)))
                {
                    return false;
                }

                continue;
            }

            BlockStatus sent = await attachment.Link.WriteAsync(offset, buffer.Memory);
            if (sent != BlockStatus.Ok)
            {
                return Fail(ReplicationError.Forward, sent, $"copying {length} bytes at {offset}: {sent}");
            }
        }

        return true;
    }

    private async ValueTask<bool> SendZeroesAsync(BlockRange range)
    {
        BlockStatus sent = await ZeroFallback.WriteZeroesAsync(attachment.Link, range, RequestFlags.MayUnmap);
        if (sent != BlockStatus.Ok)
        {
            return Fail(ReplicationError.Forward, sent, $"zeroing {range}: {sent}");
        }

        Interlocked.Add(ref zeroBytes, range.Length);
        return true;
    }

    private bool Fail(ReplicationError side, BlockStatus status, string reason)
    {
        lock (counting)
        {
            if (failure is null)
            {
                (failure, FailedSide, FailedStatus) = (reason, side, status);
            }
        }

        return false;
    }

    private void Publish(ResyncState state)
    {
        ResyncProgress progress;
        lock (counting)
        {
            Progress = progress = Measure(state);
        }

        observer.ResyncChanged(progress);
    }

    private ResyncProgress Measure(ResyncState state)
    {
        double seconds = time.GetElapsedTime(startedAt).TotalSeconds;
        long speed = seconds > 0 ? (long)(doneBytes / seconds) : 0;
        DateTimeOffset? finish = state != ResyncState.Copying || speed == 0
            ? null
            : time.GetUtcNow() + TimeSpan.FromSeconds((double)(totalBytes - doneBytes) / speed);
        return new(state, attachment.Mode, doneBytes, totalBytes, Volatile.Read(ref zeroBytes), speed, started, finish, failure);
    }
}
