using System.Buffers.Binary;
using System.Text;
using Colo.Nbd.Wire;

namespace Colo.Nbd.Handshake;

/// <summary>
/// Options in, option replies out, over whatever stream is current. Reads exactly what an option holds and never ahead, so that
/// nothing sent in plaintext before TLS can be taken for something sent inside it.
/// </summary>
internal sealed class OptionChannel(Stream stream)
{
    private const int OptionHeaderBytes = 16;
    private const int ReplyHeaderBytes = 20;

    /// <summary>More than this is not drained either: the peer is no NBD client.</summary>
    private const uint MaxDrainedBytes = NbdLimits.MaxPayloadBytes;

    public Stream Stream { get; set; } = stream;

    /// <summary>An option's header and data; the data is empty and TooBig set where it was longer than we take (and drained).</summary>
    public readonly record struct Received(NbdOption Option, byte[] Data, bool TooBig);

    public Received ReadOption()
    {
        Span<byte> header = stackalloc byte[OptionHeaderBytes];
        ReadExactly(header);
        ulong magic = BinaryPrimitives.ReadUInt64BigEndian(header);
        if (magic != NbdMagic.Option)
        {
            throw new HandshakeException($"no option magic but 0x{magic:x16}");
        }

        NbdOption option = (NbdOption)BinaryPrimitives.ReadUInt32BigEndian(header[8..]);
        uint length = BinaryPrimitives.ReadUInt32BigEndian(header[12..]);
        if (length > NbdLimits.MaxOptionBytes)
        {
            Drain(option, length);
            return new(option, [], TooBig: true);
        }

        byte[] data = new byte[length];
        ReadExactly(data);
        return new(option, data, TooBig: false);
    }

    public void ReadExactly(Span<byte> destination)
    {
        try
        {
            Stream.ReadExactly(destination);
        }
        catch (EndOfStreamException e)
        {
            throw new HandshakeException("the client left in the middle of the handshake", e);
        }
    }

    public void Write(ReadOnlySpan<byte> bytes)
    {
        Stream.Write(bytes);
        Stream.Flush();
    }

    public void Reply(NbdOption option, NbdOptionReply reply, ReadOnlySpan<byte> data = default)
    {
        byte[] message = new byte[ReplyHeaderBytes + data.Length];
        BinaryPrimitives.WriteUInt64BigEndian(message, NbdMagic.OptionReply);
        BinaryPrimitives.WriteUInt32BigEndian(message.AsSpan(8), (uint)option);
        BinaryPrimitives.WriteUInt32BigEndian(message.AsSpan(12), (uint)reply);
        BinaryPrimitives.WriteUInt32BigEndian(message.AsSpan(16), (uint)data.Length);
        data.CopyTo(message.AsSpan(ReplyHeaderBytes));
        Write(message);
    }

    /// <summary>A refusal, with the reason for a person to read (proto.md allows a message in every error reply).</summary>
    public void ReplyError(NbdOption option, NbdOptionReply reply, string reason)
    {
        byte[] text = Encoding.UTF8.GetBytes(reason);
        Reply(option, reply, text.AsSpan(0, Math.Min(text.Length, NbdLimits.MaxStringBytes)));
    }

    private void Drain(NbdOption option, uint length)
    {
        if (length > MaxDrainedBytes)
        {
            throw new HandshakeException($"option {option} of {length} bytes");
        }

        byte[] sink = new byte[NbdLimits.MaxOptionBytes];
        for (uint left = length; left > 0;)
        {
            int part = (int)Math.Min(left, (uint)sink.Length);
            ReadExactly(sink.AsSpan(0, part));
            left -= (uint)part;
        }
    }
}
