using System.Buffers.Binary;
using Colo.Blocks;
using Colo.Nbd.Handshake;
using Colo.Nbd.Wire;

namespace Colo.Nbd.Transmission;

/// <summary>Bytes of replies in the three framings (proto.md: simple, structured, extended). One chunk a reply, always the last.</summary>
internal static class ReplyEncoding
{
    private const int SimpleHeaderBytes = 16;
    private const int StructuredHeaderBytes = 20;
    private const int ExtendedHeaderBytes = 32;
    private const int OffsetBytes = 8;
    private const int ErrorBytes = 6;

    /// <summary>Longest message that a refusal carries.</summary>
    public const int MaxReasonBytes = 64;

    /// <summary>Room that any acknowledgement or error takes at most.</summary>
    public const int MaxAckBytes = ExtendedHeaderBytes + ErrorBytes + MaxReasonBytes;

    /// <summary>What stands before the payload of a READ's answer; never less than an error without a reason needs.</summary>
    public static int ReadHeaderBytes(ReplyFormat format) => format switch
    {
        ReplyFormat.Simple => SimpleHeaderBytes,
        ReplyFormat.Structured => StructuredHeaderBytes + OffsetBytes,
        _ => ExtendedHeaderBytes + OffsetBytes,
    };

    public static void WriteReadHeader(Span<byte> at, ReplyFormat format, in RequestHeader request, int lengthBytes)
    {
        if (format == ReplyFormat.Simple)
        {
            WriteSimple(at, request.Cookie, BlockStatus.Ok);
            return;
        }

        int header = WriteChunkHeader(at, format, request, NbdReplyType.OffsetData, OffsetBytes + lengthBytes);
        BinaryPrimitives.WriteUInt64BigEndian(at[header..], request.Offset);
    }

    /// <summary>An acknowledgement without data, or an error; returns its bytes.</summary>
    public static int WriteAck(
        Span<byte> at, ReplyFormat format, in RequestHeader request, BlockStatus status, ReadOnlySpan<byte> reason = default)
    {
        if (format == ReplyFormat.Simple)
        {
            return WriteSimple(at, request.Cookie, status);
        }

        if (status == BlockStatus.Ok)
        {
            return WriteChunkHeader(at, format, request, NbdReplyType.None, 0);
        }

        int header = WriteChunkHeader(at, format, request, NbdReplyType.Error, ErrorBytes + reason.Length);
        BinaryPrimitives.WriteUInt32BigEndian(at[header..], (uint)status);
        BinaryPrimitives.WriteUInt16BigEndian(at[(header + 4)..], (ushort)reason.Length);
        reason.CopyTo(at[(header + ErrorBytes)..]);
        return header + ErrorBytes + reason.Length;
    }

    public static int StatusChunkBytes(ReplyFormat format, int extents) =>
        format == ReplyFormat.Structured ? StructuredHeaderBytes + 4 + (8 * extents) : ExtendedHeaderBytes + 8 + (16 * extents);

    /// <summary>One context's chunk of a block status reply; returns its bytes.</summary>
    public static int WriteStatusChunk(
        Span<byte> at, ReplyFormat format, in RequestHeader request, uint contextId, ReadOnlySpan<StatusExtent> extents, bool last)
    {
        int length = StatusChunkBytes(format, extents.Length);
        if (format == ReplyFormat.Structured)
        {
            int next = WriteChunkHeader(at, format, request, NbdReplyType.BlockStatus, length - StructuredHeaderBytes, last);
            BinaryPrimitives.WriteUInt32BigEndian(at[next..], contextId);
            next += 4;
            foreach (StatusExtent extent in extents)
            {
                BinaryPrimitives.WriteUInt32BigEndian(at[next..], (uint)extent.LengthBytes);
                BinaryPrimitives.WriteUInt32BigEndian(at[(next + 4)..], extent.Flags);
                next += 8;
            }
        }
        else
        {
            int next = WriteChunkHeader(at, format, request, NbdReplyType.BlockStatusExtended, length - ExtendedHeaderBytes, last);
            BinaryPrimitives.WriteUInt32BigEndian(at[next..], contextId);
            BinaryPrimitives.WriteUInt32BigEndian(at[(next + 4)..], (uint)extents.Length);
            next += 8;
            foreach (StatusExtent extent in extents)
            {
                BinaryPrimitives.WriteUInt64BigEndian(at[next..], (ulong)extent.LengthBytes);
                BinaryPrimitives.WriteUInt64BigEndian(at[(next + 8)..], extent.Flags);
                next += 16;
            }
        }

        return length;
    }

    private static int WriteSimple(Span<byte> at, ulong cookie, BlockStatus status)
    {
        BinaryPrimitives.WriteUInt32BigEndian(at, NbdMagic.SimpleReply);
        BinaryPrimitives.WriteUInt32BigEndian(at[4..], (uint)status);
        BinaryPrimitives.WriteUInt64BigEndian(at[8..], cookie);
        return SimpleHeaderBytes;
    }

    private static int WriteChunkHeader(
        Span<byte> at, ReplyFormat format, in RequestHeader request, NbdReplyType type, int payloadBytes, bool last = true)
    {
        bool extended = format == ReplyFormat.Extended;
        BinaryPrimitives.WriteUInt32BigEndian(at, extended ? NbdMagic.ExtendedReply : NbdMagic.StructuredReply);
        BinaryPrimitives.WriteUInt16BigEndian(at[4..], (ushort)(last ? NbdReplyFlags.Done : NbdReplyFlags.None));
        BinaryPrimitives.WriteUInt16BigEndian(at[6..], (ushort)type);
        BinaryPrimitives.WriteUInt64BigEndian(at[8..], request.Cookie);
        if (!extended)
        {
            BinaryPrimitives.WriteUInt32BigEndian(at[16..], (uint)payloadBytes);
            return StructuredHeaderBytes;
        }

        BinaryPrimitives.WriteUInt64BigEndian(at[16..], request.Offset);
        BinaryPrimitives.WriteUInt64BigEndian(at[24..], (ulong)payloadBytes);
        return ExtendedHeaderBytes;
    }
}

/// <summary>One descriptor of a block status reply.</summary>
internal readonly record struct StatusExtent(long LengthBytes, uint Flags);
