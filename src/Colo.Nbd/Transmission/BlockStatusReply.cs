using System.Runtime.InteropServices;
using Colo.Blocks;
using Colo.Nbd.Handshake;
using Colo.Nbd.Wire;

namespace Colo.Nbd.Transmission;

/// <summary>Turns what the device said of a range into one chunk for each selected context.</summary>
internal static class BlockStatusReply
{
    [ThreadStatic]
    private static List<StatusExtent>? scratch;

    public static void Append(ReplyQueue replies, NegotiatedSession negotiated, in RequestHeader request, List<BlockExtent> extents)
    {
        int contexts = (negotiated.BaseAllocation ? 1 : 0) + (negotiated.Checkpoint ? 1 : 0);
        List<StatusExtent> merged = scratch ??= [];
        Merge(extents, request, merged);
        if (negotiated.BaseAllocation && merged.Count == 0)
        {
            replies.Append(request, BlockStatus.IoError, "the device said nothing"u8);
            return;
        }

        ReadOnlySpan<StatusExtent> allocation = CollectionsMarshal.AsSpan(merged);
        ReadOnlySpan<StatusExtent> checkpoint = [new((long)request.Length, 0)];
        int room = (negotiated.BaseAllocation ? ReplyEncoding.StatusChunkBytes(replies.Format, allocation.Length) : 0)
            + (negotiated.Checkpoint ? ReplyEncoding.StatusChunkBytes(replies.Format, checkpoint.Length) : 0);
        ReplyReservation reservation = replies.Reserve(room);
        Span<byte> at = reservation.Memory.Span;
        if (negotiated.BaseAllocation)
        {
            int written = ReplyEncoding.WriteStatusChunk(
                at, replies.Format, request, MetaContextOptions.BaseAllocationId, allocation, last: contexts == 1);
            at = at[written..];
        }

        if (negotiated.Checkpoint)
        {
            ReplyEncoding.WriteStatusChunk(at, replies.Format, request, MetaContextOptions.CheckpointId, checkpoint, last: true);
        }

        replies.Commit(reservation, room);
    }

    /// <summary>Neighbours of one kind become one; nothing reaches past what was asked; empty ones are left out.</summary>
    private static void Merge(List<BlockExtent> extents, in RequestHeader request, List<StatusExtent> merged)
    {
        merged.Clear();
        long left = (long)request.Length;
        int most = (request.Flags & NbdCommandFlags.ReqOne) != 0 ? 1 : NbdLimits.MaxExtents;
        foreach (BlockExtent extent in extents)
        {
            long length = Math.Min(extent.Range.Length, left);
            if (length == 0)
            {
                continue;
            }

            uint flags = (uint)extent.Kind;
            if (merged.Count > 0 && merged[^1].Flags == flags)
            {
                merged[^1] = merged[^1] with { LengthBytes = merged[^1].LengthBytes + length };
            }
            else if (merged.Count == most)
            {
                break;
            }
            else
            {
                merged.Add(new(length, flags));
            }

            left -= length;
        }
    }
}
