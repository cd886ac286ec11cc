using Colo.Blocks;

namespace Colo.Replication;

/// <summary>
/// What becomes of a request that could not be acknowledged at once: zeroes become zero bytes, a failed forward loses the secondary, after
/// a failed local write both replicas are made equal before the guest hears of it, and a late answer is doubted.
/// </summary>
internal sealed class QuorumJudge(
    Quorum quorum, ServeSwitch serve, ErrorLatch errors, Divergence divergence, LocalRepair repair, GoingAlone goingAlone, LateAnswers late)
{
    public void Judge(QuorumRequest request)
    {
        if (request.Kind == RequestKind.Zero
            && (request.Local == BlockStatus.NotSupported || request.Remote == BlockStatus.NotSupported)
            && !serve.IsOver)
        {
            _ = WriteZeroBytesAsync(request);
            return;
        }

        if (request.Remote != BlockStatus.Ok)
        {
            goingAlone.ForwardFailed($"forward of {Describe(request)} was answered {request.Remote}", request.Remote);
        }

        if (request.Local != BlockStatus.Ok)
        {
            errors.Report(ReplicationError.PrimaryDisk, request.Local, $"{Describe(request)} on the primary disk: {request.Local}");
            if (request.Remote == BlockStatus.Ok && request.Kind != RequestKind.Flush && serve.State == ServeState.Replicating)
            {
                _ = ConvergeAsync(request);
                return;
            }
        }

        if (request is { Local: BlockStatus.Ok, Remote: BlockStatus.Ok } && serve.State == ServeState.Replicating)
        {
            late.Hold(request);
            return;
        }

        serve.HoldOrEnd(request);
    }

    private static string Describe(QuorumRequest request) =>
        request.Kind == RequestKind.Flush ? "a flush" : $"{(request.Kind == RequestKind.Zero ? "zeroes" : "a write")} at {request.Range}";

    /// <summary>A child that cannot zero gets zero bytes. Owned by the request: its guest waits for it.</summary>
    private async Task WriteZeroBytesAsync(QuorumRequest request)
    {
        if (request.Remote == BlockStatus.NotSupported)
        {
            request.Remote = quorum.Remote is { } remote
                ? await ZeroFallback.WriteBytesAsync(remote, request.Range, request.Flags)
                : BlockStatus.Shutdown;
        }

        if (request.Local == BlockStatus.NotSupported)
        {
            request.Local = await ZeroFallback.WriteBytesAsync(quorum.Local, request.Range, request.Flags);
        }

        // Whatever these answered, it is not asked a second time.
        request.Remote = request.Remote == BlockStatus.NotSupported ? BlockStatus.IoError : request.Remote;
        request.Local = request.Local == BlockStatus.NotSupported ? BlockStatus.IoError : request.Local;
        quorum.Settle(request);
    }

    /// <summary>
    /// The local write failed, the forward did not: the replicas differ. The guest gets its error, and either content is legal, but they
    /// must be equal again before it reads: what the local disk holds now goes to the secondary; what it cannot even read is read from
    /// the secondary from here on, until a write succeeds there, the guest's or the repair's. Owned by the request, under its range.
    /// </summary>
    private async Task ConvergeAsync(QuorumRequest request)
    {
        const int PieceBytes = 1 << 20;
        BlockRange range = request.Range;
        for (long offset = range.Offset; offset < range.End; offset += PieceBytes)
        {
            BlockRange piece = BlockRange.FromTo(offset, Math.Min(offset + PieceBytes, range.End));
            if (divergence.LocalFailed is { } onlyRemote && onlyRemote.IsAnySet(piece))
            {
                // What the local disk holds here is older than what the guest may have read of the secondary: it must not come back.
                divergence.MarkLocalFailed(piece);
                repair.Begin();
                continue;
            }

            using PooledBuffer buffer = await BufferPool.Shared.RentAsync((int)piece.Length, CancellationToken.None);
            if (await quorum.Local.ReadAsync(offset, buffer.Memory) != BlockStatus.Ok)
            {
                divergence.MarkLocalFailed(piece);
                repair.Begin();
                continue;
            }

            BlockStatus sent = quorum.Remote is { } remote ? await remote.WriteAsync(offset, buffer.Memory) : BlockStatus.Shutdown;
            if (sent != BlockStatus.Ok)
            {
                goingAlone.ForwardFailed($"making {piece} equal after a local error was answered {sent}", sent);
                break;
            }
        }

        serve.HoldOrEnd(request);
    }
}
