using Colo.Blocks;
using Colo.Nbd.Handshake;
using Colo.Nbd.Server;
using Colo.Nbd.Wire;

namespace Colo.Nbd.Transmission;

/// <summary>
/// What the outcome of a request becomes: a reply in the queue that leaves with its batch, and a count. From whatever thread completes
/// the request.
/// </summary>
internal sealed class RequestAnswers(NegotiatedSession negotiated, ReplyQueue replies, NbdSessionCounters counters)
{
    /// <summary>Replies leave at the latest when so many bytes are gathered: more would only fall out of the cache.</summary>
    private const int FlushThresholdBytes = 192 << 10;

    /// <param name="request">What is answered.</param>
    /// <param name="reservation">Where a read's payload lies; empty for the others.</param>
    /// <param name="filled">The extents of a block status; cleared. Not looked at for the others.</param>
    /// <param name="status">As the device ended it.</param>
    /// <param name="elapsedTicks">Of the stopwatch, with the device.</param>
    public void Answer(
        in RequestHeader request, ReplyReservation reservation, List<BlockExtent>? filled, BlockStatus status, long elapsedTicks)
    {
        if (reservation.Chunk is not null)
        {
            AnswerRead(request, reservation, status);
        }
        else if (request.Command == NbdCommand.BlockStatus && status == BlockStatus.Ok)
        {
            BlockStatusReply.Append(replies, negotiated, request, filled!);
        }
        else
        {
            replies.Append(request, status);
        }

        if (request.Command == NbdCommand.BlockStatus)
        {
            filled!.Clear();
        }

        counters.Count(Operation(request.Command), (long)request.Length, status, elapsedTicks);
        if (replies.UnsentBytes >= FlushThresholdBytes)
        {
            replies.FlushBatch();
        }
        else
        {
            IoBatch.Defer(replies);
        }
    }

    /// <summary>For a request that never reached the device.</summary>
    public void Refuse(in RequestHeader request, BlockStatus verdict, ReadOnlySpan<byte> reason)
    {
        replies.Append(request, verdict, reason);
        if (request.Command <= NbdCommand.BlockStatus || request.Command == NbdCommand.ColoCheckpoint)
        {
            counters.Count(Operation(request.Command), 0, verdict, 0);
        }

        IoBatch.Defer(replies);
    }

    private void AnswerRead(in RequestHeader request, ReplyReservation reservation, BlockStatus status)
    {
        Span<byte> room = reservation.Memory.Span;
        if (status == BlockStatus.Ok)
        {
            ReplyEncoding.WriteReadHeader(room, negotiated.Format, request, (int)request.Length);
            replies.Commit(reservation, reservation.Length);
        }
        else
        {
            replies.Commit(reservation, ReplyEncoding.WriteAck(room, negotiated.Format, request, status));
        }
    }

    private static NbdOperation Operation(NbdCommand command) => command switch
    {
        NbdCommand.Read => NbdOperation.Read,
        NbdCommand.Write => NbdOperation.Write,
        NbdCommand.Flush => NbdOperation.Flush,
        NbdCommand.Trim => NbdOperation.Trim,
        NbdCommand.Cache => NbdOperation.Cache,
        NbdCommand.WriteZeroes => NbdOperation.WriteZeroes,
        NbdCommand.BlockStatus => NbdOperation.BlockStatus,
        _ => NbdOperation.Checkpoint,
    };
}
