using System.Buffers.Binary;
using Colo.Nbd.Wire;

namespace Colo.Nbd.Client;

/// <summary>The fixed part of a reply or reply chunk, in whichever of the three forms was agreed on (proto.md, "Transmission").</summary>
/// <param name="IsSimple">Then <paramref name="Error"/> counts, else the rest.</param>
/// <param name="Error">NBD errno of a simple reply.</param>
/// <param name="Cookie">Whose reply.</param>
/// <param name="Type">Kind of chunk.</param>
/// <param name="IsDone">The last chunk.</param>
/// <param name="Offset">Extended replies repeat the request's; else null.</param>
/// <param name="PayloadBytes">As claimed by the server: unchecked.</param>
/// <param name="HeaderBytes">Length of this header on the wire.</param>
internal readonly record struct ReplyHeader(
    bool IsSimple, uint Error, ulong Cookie, NbdReplyType Type, bool IsDone, long? Offset, ulong PayloadBytes, int HeaderBytes)
{
    private const int SimpleBytes = 16;
    private const int ChunkBytes = 20;
    private const int ExtendedBytes = 32;

    /// <returns>False when more bytes are needed.</returns>
    /// <exception cref="NbdClientException">the magic is none that was agreed on.</exception>
    public static bool TryParse(ReadOnlySpan<byte> bytes, NbdExportInfo agreed, NbdEndpoint endpoint, out ReplyHeader header)
    {
        header = default;
        if (bytes.Length < SimpleBytes)
        {
            return false;
        }

        uint magic = BinaryPrimitives.ReadUInt32BigEndian(bytes);
        ulong cookie = BinaryPrimitives.ReadUInt64BigEndian(bytes[8..]);
        switch (magic)
        {
            case NbdMagic.SimpleReply when !agreed.ExtendedHeaders:
                header = new ReplyHeader(
                    true, BinaryPrimitives.ReadUInt32BigEndian(bytes[4..]), cookie, NbdReplyType.None, true, null, 0, SimpleBytes);
                return true;
            case NbdMagic.StructuredReply when agreed is { StructuredReplies: true, ExtendedHeaders: false }:
                return bytes.Length >= ChunkBytes && ParseChunk(
                    bytes, cookie, null, BinaryPrimitives.ReadUInt32BigEndian(bytes[16..]), ChunkBytes, out header);
            case NbdMagic.ExtendedReply when agreed.ExtendedHeaders:
                return bytes.Length >= ExtendedBytes && ParseChunk(
                    bytes, cookie, BinaryPrimitives.ReadInt64BigEndian(bytes[16..]),
                    BinaryPrimitives.ReadUInt64BigEndian(bytes[24..]), ExtendedBytes, out header);
            default:
                throw new NbdClientException(
                    NbdClientErrorKind.BadMagic, $"{endpoint}: reply magic {magic:x8} is none that was agreed on");
        }
    }

    private static bool ParseChunk(
        ReadOnlySpan<byte> bytes, ulong cookie, long? offset, ulong payloadBytes, int headerBytes, out ReplyHeader header)
    {
        NbdReplyFlags flags = (NbdReplyFlags)BinaryPrimitives.ReadUInt16BigEndian(bytes[4..]);
        NbdReplyType type = (NbdReplyType)BinaryPrimitives.ReadUInt16BigEndian(bytes[6..]);
        header = new ReplyHeader(false, 0, cookie, type, (flags & NbdReplyFlags.Done) != 0, offset, payloadBytes, headerBytes);
        return true;
    }
}
