using System.Buffers.Binary;
using Colo.Nbd.Wire;

namespace Colo.Simulation.Checks;

/// <summary>
/// Both directions of one NBD connection, message by message, as they are sent: no reply without its request, no second reply, no cookie
/// that is used twice at a time, and no more requests on the wire than the client's bound. Invariant 12.
/// </summary>
internal sealed class Wire(string name, int mostRequests, Action<ViolationException> violated)
{
    private const string Promise = "12 no reply without its request";
    private const int GreetingBytes = 18;
    private const int ClientFlagsBytes = 4;
    private const uint OptionMagic = (uint)(NbdMagic.Option >> 32);
    private const uint OptionReplyMagic = (uint)(NbdMagic.OptionReply >> 32);
    private const ushort ReplyDone = 1;

    private readonly Dictionary<ulong, (NbdCommand Command, uint Length)> open = [];
    private readonly List<byte> fromClient = [];
    private readonly List<byte> fromServer = [];
    private bool clientBegan;
    private bool serverBegan;
    private bool isBroken;

    public long Requests { get; private set; }

    public long Replies { get; private set; }

    public void Says(bool isClient, ReadOnlySpan<byte> bytes)
    {
        List<byte> said = isClient ? fromClient : fromServer;
        said.AddRange(bytes);
        int at = 0;
        ReadOnlySpan<byte> all = System.Runtime.InteropServices.CollectionsMarshal.AsSpan(said);
        while (!isBroken && (isClient ? Request(all[at..]) : Reply(all[at..])) is > 0 and int length)
        {
            at += length;
        }

        said.RemoveRange(0, at);
    }

    /// <returns>Bytes of the message; 0: it is not all there.</returns>
    private int Request(ReadOnlySpan<byte> from)
    {
        if (!clientBegan)
        {
            clientBegan = from.Length >= ClientFlagsBytes;
            return clientBegan ? ClientFlagsBytes : 0;
        }

        if (from.Length < 28)
        {
            // The shortest request; an option is shorter where it carries nothing.
            return from.Length >= 16 && Magic(from) == OptionMagic ? Whole(from, 16L + Uint(from, 12)) : 0;
        }

        switch (Magic(from))
        {
            case OptionMagic:
                return Whole(from, 16L + Uint(from, 12));
            case NbdMagic.Request:
            {
                NbdCommand command = (NbdCommand)Ushort(from, 6);
                return Ask(command, Ulong(from, 8), Uint(from, 24), Whole(from, 28L + (command == NbdCommand.Write ? Uint(from, 24) : 0)));
            }

            case NbdMagic.ExtendedRequest:
            {
                if (from.Length < 32)
                {
                    return 0;
                }

                NbdCommand command = (NbdCommand)Ushort(from, 6);
                long length = (long)Ulong(from, 24);
                return Ask(command, Ulong(from, 8), (uint)length, Whole(from, 32 + (command == NbdCommand.Write ? length : 0)));
            }

            default:
                return Broken($"the client sends {Magic(from):x8}");
        }
    }

    private int Reply(ReadOnlySpan<byte> from)
    {
        if (!serverBegan)
        {
            serverBegan = from.Length >= GreetingBytes;
            return serverBegan ? GreetingBytes : 0;
        }

        if (from.Length < 16)
        {
            return 0;
        }

        switch (Magic(from))
        {
            case OptionReplyMagic:
                return from.Length < 20 ? 0 : Whole(from, 20L + Uint(from, 16));
            case NbdMagic.SimpleReply:
            {
                ulong cookie = Ulong(from, 8);
                bool brings = open.TryGetValue(cookie, out (NbdCommand Command, uint Length) asked) && asked.Command == NbdCommand.Read && Uint(from, 4) == 0;
                return Answer(cookie, isLast: true, Whole(from, 16L + (brings ? asked.Length : 0)));
            }

            case NbdMagic.StructuredReply:
                return from.Length < 20 ? 0 : Answer(Ulong(from, 8), (Ushort(from, 4) & ReplyDone) != 0, Whole(from, 20L + Uint(from, 16)));
            case NbdMagic.ExtendedReply:
                return from.Length < 32 ? 0 : Answer(Ulong(from, 8), (Ushort(from, 4) & ReplyDone) != 0, Whole(from, 32L + (long)Ulong(from, 24)));
            default:
                return Broken($"the server sends {Magic(from):x8}");
        }
    }

    private int Ask(NbdCommand command, ulong cookie, uint length, int whole)
    {
        if (whole == 0 || command == NbdCommand.Disconnect)
        {
            return whole;
        }

        Requests++;
        if (!open.TryAdd(cookie, (command, length)))
        {
            return Broken($"request {cookie:x} is asked twice at a time");
        }

        return open.Count <= mostRequests ? whole : Broken($"{open.Count} requests on the wire, {mostRequests} are allowed");
    }

    private int Answer(ulong cookie, bool isLast, int whole)
    {
        if (whole == 0)
        {
            return 0;
        }

        if (!open.ContainsKey(cookie))
        {
            return Broken($"reply {cookie:x} to no request");
        }

        if (isLast)
        {
            open.Remove(cookie);
            Replies++;
        }

        return whole;
    }

    private int Broken(string what)
    {
        isBroken = true;
        violated(new(Promise, $"{name}: {what}"));
        return 0;
    }

    private int Whole(ReadOnlySpan<byte> from, long length) =>
        length > NbdLimits.MaxPayloadBytes + 64 ? Broken($"a message of {length} bytes") : from.Length >= length ? (int)length : 0;

    private static uint Magic(ReadOnlySpan<byte> from) => Uint(from, 0);

    private static ushort Ushort(ReadOnlySpan<byte> from, int at) => BinaryPrimitives.ReadUInt16BigEndian(from[at..]);

    private static uint Uint(ReadOnlySpan<byte> from, int at) => BinaryPrimitives.ReadUInt32BigEndian(from[at..]);

    private static ulong Ulong(ReadOnlySpan<byte> from, int at) => BinaryPrimitives.ReadUInt64BigEndian(from[at..]);
}
