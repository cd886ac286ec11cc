using System.Buffers.Binary;
using Colo.Nbd.Wire;

namespace Colo.Nbd.Transmission;

/// <summary>A request as it stands on the wire, compact (28 bytes) or extended (32 bytes); parsed, not yet judged.</summary>
/// <param name="Flags">NBD_CMD_FLAG_*, unknown bits included.</param>
/// <param name="Command">May be a number that nobody knows.</param>
/// <param name="Cookie">Goes back unchanged with every reply.</param>
/// <param name="Offset">Bytes; in ColoCheckpoint the epoch.</param>
/// <param name="Length">Bytes of payload or of effect.</param>
internal readonly record struct RequestHeader(NbdCommandFlags Flags, NbdCommand Command, ulong Cookie, ulong Offset, ulong Length)
{
    public const int CompactBytes = 28;
    public const int ExtendedBytes = 32;

    /// <summary>False where the magic is wrong: the stream is out of step and nothing behind it can be trusted.</summary>
    public static bool TryParse(ReadOnlySpan<byte> bytes, bool extended, out RequestHeader header)
    {
        uint expected = extended ? NbdMagic.ExtendedRequest : NbdMagic.Request;
        if (BinaryPrimitives.ReadUInt32BigEndian(bytes) != expected)
        {
            header = default;
            return false;
        }

        header = new(
            (NbdCommandFlags)BinaryPrimitives.ReadUInt16BigEndian(bytes[4..]),
            (NbdCommand)BinaryPrimitives.ReadUInt16BigEndian(bytes[6..]),
            BinaryPrimitives.ReadUInt64BigEndian(bytes[8..]),
            BinaryPrimitives.ReadUInt64BigEndian(bytes[16..]),
            extended ? BinaryPrimitives.ReadUInt64BigEndian(bytes[24..]) : BinaryPrimitives.ReadUInt32BigEndian(bytes[24..]));
        return true;
    }

    /// <summary>Bytes that follow on the wire. With extended headers the flag decides for every command but WRITE.</summary>
    public ulong PayloadBytes(bool extended) =>
        Command == NbdCommand.Write || (extended && (Flags & NbdCommandFlags.PayloadLength) != 0) ? Length : 0;
}
