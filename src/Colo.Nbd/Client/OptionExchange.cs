using System.Buffers.Binary;
using System.Text;
using Colo.Nbd.Wire;

namespace Colo.Nbd.Client;

/// <summary>Gets one reply to an option that is not its end.</summary>
internal delegate void OptionReplyHandler(NbdOptionReply reply, ReadOnlySpan<byte> data);

/// <summary>Options out, their replies in: magic, match and length of each are checked before anyone sees it.</summary>
internal sealed class OptionExchange(ClientTransport transport, NbdEndpoint endpoint)
{
    /// <summary>Replies to one option; a list of exports is the longest known.</summary>
    private const int MaxReplies = 16384;

    /// <summary>What the server said with its last refusal, cut to a line.</summary>
    public string RefusalText { get; private set; } = "";

    /// <summary>Sends an option, hands on what comes before the end, and returns the end: ACK or an error.</summary>
    public NbdOptionReply Ask(NbdOption option, ReadOnlySpan<byte> data, OptionReplyHandler? onReply)
    {
        Send(option, data);
        byte[] buffer = new byte[512];
        Span<byte> header = stackalloc byte[20];
        for (int replies = 0; replies < MaxReplies; replies++)
        {
            transport.ReceiveExactly(header);
            ulong magic = BinaryPrimitives.ReadUInt64BigEndian(header);
            NbdOption answered = (NbdOption)BinaryPrimitives.ReadUInt32BigEndian(header[8..]);
            NbdOptionReply reply = (NbdOptionReply)BinaryPrimitives.ReadUInt32BigEndian(header[12..]);
            uint length = BinaryPrimitives.ReadUInt32BigEndian(header[16..]);
            if (magic != NbdMagic.OptionReply || answered != option)
            {
                throw new NbdClientException(
                    NbdClientErrorKind.BadMagic, $"{endpoint}: option reply {magic:x16} to {answered}, expected one to {option}");
            }

            if (length > NbdLimits.MaxOptionBytes)
            {
                throw BadLength($"a reply to {option}", length);
            }

            buffer = length > buffer.Length ? new byte[length] : buffer;
            Span<byte> payload = buffer.AsSpan(0, (int)length);
            transport.ReceiveExactly(payload);
            if (reply == NbdOptionReply.Ack || ((uint)reply & 0x80000000) != 0)
            {
                RefusalText = reply == NbdOptionReply.Ack ? "" : Encoding.UTF8.GetString(payload[..Math.Min(payload.Length, 512)]);
                return reply;
            }

            if (onReply is null)
            {
                throw new NbdClientException(NbdClientErrorKind.UnexpectedReply, $"{endpoint}: {option} is answered with {reply}");
            }

            onReply(reply, payload);
        }

        throw BadLength($"the number of replies to {option}", MaxReplies);
    }

    public void Send(NbdOption option, ReadOnlySpan<byte> data)
    {
        byte[] message = new byte[16 + data.Length];
        BinaryPrimitives.WriteUInt64BigEndian(message, NbdMagic.Option);
        BinaryPrimitives.WriteUInt32BigEndian(message.AsSpan(8), (uint)option);
        BinaryPrimitives.WriteUInt32BigEndian(message.AsSpan(12), (uint)data.Length);
        data.CopyTo(message.AsSpan(16));
        transport.SendAll(message);
    }

    public NbdClientException BadLength(string what, ulong length) =>
        new(NbdClientErrorKind.BadLength, $"{endpoint}: {what} has the length {length}");
}
