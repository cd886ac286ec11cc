using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;
using System.Text;
using Colo.Nbd.Wire;

namespace Colo.Nbd.Tests.Server;

/// <summary>One option reply as it came.</summary>
internal sealed record OptionAnswer(NbdOption Option, NbdOptionReply Reply, byte[] Data)
{
    public string Text => Encoding.UTF8.GetString(Data);
}

/// <summary>One reply chunk as it came; Error is the errno of a simple reply or an error chunk.</summary>
internal sealed record Chunk(NbdReplyType Type, bool Done, ulong Cookie, ulong Offset, uint Error, byte[] Data);

/// <summary>Bytes, spelled by hand: a client that can also be wrong. Every wait is bounded.</summary>
internal sealed class RawClient : IDisposable
{
    private const int TimeoutMilliseconds = 30_000;

    private readonly Socket socket;

    public RawClient(string path)
    {
        socket = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified)
        {
            ReceiveTimeout = TimeoutMilliseconds,
            SendTimeout = TimeoutMilliseconds,
        };
        socket.Connect(new UnixDomainSocketEndPoint(path));
        Stream = new NetworkStream(socket, ownsSocket: true);
    }

    /// <param name="server">Where it listens.</param>
    /// <param name="from">One of this machine's own addresses: another client than those of 127.0.0.1.</param>
    public RawClient(IPEndPoint server, IPAddress from)
    {
        socket = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp)
        {
            ReceiveTimeout = TimeoutMilliseconds,
            SendTimeout = TimeoutMilliseconds,
        };
        socket.Bind(new IPEndPoint(from, 0));
        socket.Connect(server);
        Stream = new NetworkStream(socket, ownsSocket: true);
    }

    public Stream Stream { get; set; }

    public Socket Socket => socket;

    public bool Extended { get; set; }

    public bool Structured { get; set; }

    /// <summary>Reads the greeting and answers it.</summary>
    public RawClient Greet(uint clientFlags = 3)
    {
        byte[] greeting = Read(18);
        BinaryPrimitives.ReadUInt64BigEndian(greeting).ShouldBe(NbdMagic.Init);
        BinaryPrimitives.ReadUInt64BigEndian(greeting.AsSpan(8)).ShouldBe(NbdMagic.Option);
        BinaryPrimitives.ReadUInt16BigEndian(greeting.AsSpan(16)).ShouldBe((ushort)3);
        Send(Bytes.UInt32(clientFlags));
        return this;
    }

    public void SendOption(NbdOption option, params byte[] data) =>
        Send([.. Bytes.UInt64(NbdMagic.Option), .. Bytes.UInt32((uint)option), .. Bytes.UInt32((uint)data.Length), .. data]);

    public OptionAnswer ReadAnswer()
    {
        byte[] header = Read(20);
        BinaryPrimitives.ReadUInt64BigEndian(header).ShouldBe(NbdMagic.OptionReply);
        NbdOption option = (NbdOption)BinaryPrimitives.ReadUInt32BigEndian(header.AsSpan(8));
        NbdOptionReply reply = (NbdOptionReply)BinaryPrimitives.ReadUInt32BigEndian(header.AsSpan(12));
        return new(option, reply, Read(BinaryPrimitives.ReadInt32BigEndian(header.AsSpan(16))));
    }

    /// <summary>All answers up to the acknowledgement or error that ends them.</summary>
    public List<OptionAnswer> Ask(NbdOption option, params byte[] data)
    {
        SendOption(option, data);
        List<OptionAnswer> answers = [];
        do
        {
            answers.Add(ReadAnswer());
            answers[^1].Option.ShouldBe(option);
        }
        while (answers[^1].Reply is NbdOptionReply.Server or NbdOptionReply.Info or NbdOptionReply.MetaContext);

        return answers;
    }

    public NbdOptionReply AskLast(NbdOption option, params byte[] data) => Ask(option, data)[^1].Reply;

    /// <summary>GO for an export, after the wanted framing and contexts.</summary>
    public RawClient Go(string name = "", bool structured = false, bool extended = false, params string[] contexts)
    {
        if (extended)
        {
            AskLast(NbdOption.ExtendedHeaders).ShouldBe(NbdOptionReply.Ack);
        }
        else if (structured)
        {
            AskLast(NbdOption.StructuredReply).ShouldBe(NbdOptionReply.Ack);
        }

        Extended = extended;
        Structured = structured || extended;
        if (contexts.Length > 0)
        {
            Ask(NbdOption.SetMetaContext, Bytes.Query(name, contexts)).Count.ShouldBe(contexts.Length + 1);
        }

        AskLast(NbdOption.Go, Bytes.InfoRequest(name, 3)).ShouldBe(NbdOptionReply.Ack);
        return this;
    }

    public void Request(NbdCommand command, ulong cookie, ulong offset, ulong length, NbdCommandFlags flags = 0, byte[]? payload = null)
    {
        Send([.. Bytes.Request(Extended, command, cookie, offset, length, flags), .. payload ?? []]);
    }

    /// <summary>The next reply's chunks up to the last.</summary>
    public List<Chunk> Reply()
    {
        List<Chunk> chunks = [];
        do
        {
            chunks.Add(ReadChunk(0));
        }
        while (!chunks[^1].Done);

        return chunks;
    }

    /// <summary>Sends a request and returns the errno that its reply ends with.</summary>
    public uint Error(
        NbdCommand command, ulong offset, ulong length, NbdCommandFlags flags = 0, byte[]? payload = null, int simpleDataBytes = 0)
    {
        const ulong cookie = 0x1122334455667788;
        Request(command, cookie, offset, length, flags, payload);
        Chunk last = simpleDataBytes > 0 ? ReadChunk(simpleDataBytes) : Reply()[^1];
        last.Cookie.ShouldBe(cookie);
        return last.Error;
    }

    /// <summary>Data of a read, whatever the framing.</summary>
    public byte[] ReadDisk(ulong offset, int length, NbdCommandFlags flags = 0)
    {
        Request(NbdCommand.Read, 77, offset, (ulong)length, flags);
        Chunk chunk = ReadChunk(length);
        chunk.Error.ShouldBe(0u);
        chunk.Cookie.ShouldBe(77ul);
        chunk.Done.ShouldBeTrue();
        if (Structured)
        {
            chunk.Type.ShouldBe(NbdReplyType.OffsetData);
            chunk.Offset.ShouldBe(offset);
        }

        return chunk.Data;
    }

    /// <param name="simpleDataBytes">What follows a simple reply without error: a simple reply does not say.</param>
    public Chunk ReadChunk(int simpleDataBytes)
    {
        if (!Structured)
        {
            byte[] simple = Read(16);
            BinaryPrimitives.ReadUInt32BigEndian(simple).ShouldBe(NbdMagic.SimpleReply);
            uint error = BinaryPrimitives.ReadUInt32BigEndian(simple.AsSpan(4));
            ulong of = BinaryPrimitives.ReadUInt64BigEndian(simple.AsSpan(8));
            return new(NbdReplyType.None, true, of, 0, error, error == 0 ? Read(simpleDataBytes) : []);
        }

        byte[] header = Read(Extended ? 32 : 20);
        BinaryPrimitives.ReadUInt32BigEndian(header).ShouldBe(Extended ? NbdMagic.ExtendedReply : NbdMagic.StructuredReply);
        bool done = (BinaryPrimitives.ReadUInt16BigEndian(header.AsSpan(4)) & 1) != 0;
        NbdReplyType type = (NbdReplyType)BinaryPrimitives.ReadUInt16BigEndian(header.AsSpan(6));
        ulong cookie = BinaryPrimitives.ReadUInt64BigEndian(header.AsSpan(8));
        int length = Extended
            ? (int)BinaryPrimitives.ReadUInt64BigEndian(header.AsSpan(24))
            : BinaryPrimitives.ReadInt32BigEndian(header.AsSpan(16));
        ulong offset = Extended ? BinaryPrimitives.ReadUInt64BigEndian(header.AsSpan(16)) : 0;
        byte[] data = Read(length);
        switch (type)
        {
            case NbdReplyType.OffsetData:
                return new(type, done, cookie, BinaryPrimitives.ReadUInt64BigEndian(data), 0, data[8..]);
            case NbdReplyType.Error:
                data.Length.ShouldBe(6 + BinaryPrimitives.ReadUInt16BigEndian(data.AsSpan(4)));
                return new(type, done, cookie, offset, BinaryPrimitives.ReadUInt32BigEndian(data), data[6..]);
            default:
                return new(type, done, cookie, offset, 0, data);
        }
    }

    public void Send(byte[] bytes)
    {
        Stream.Write(bytes);
        Stream.Flush();
    }

    public byte[] Read(int count)
    {
        byte[] bytes = new byte[count];
        Stream.ReadExactly(bytes);
        return bytes;
    }

    /// <summary>The server has ended the connection: an end or a reset, after at most what it had sent before.</summary>
    public void ShouldBeClosed(int afterAtMost = 0)
    {
        byte[] bytes = new byte[afterAtMost + 1];
        int total = 0;
        try
        {
            while (total <= afterAtMost)
            {
                int read = Stream.Read(bytes.AsSpan(total));
                if (read == 0)
                {
                    return;
                }

                total += read;
            }
        }
        catch (IOException e) when (e.InnerException is SocketException { SocketErrorCode: SocketError.ConnectionReset })
        {
            return;
        }

        throw new ShouldAssertException($"the server sent {total} bytes instead of closing");
    }

    public void Dispose() => Stream.Dispose();
}

/// <summary>Big-endian spelling.</summary>
internal static class Bytes
{
    public static byte[] UInt16(ushort value) => [(byte)(value >> 8), (byte)value];

    public static byte[] UInt32(uint value)
    {
        byte[] bytes = new byte[4];
        BinaryPrimitives.WriteUInt32BigEndian(bytes, value);
        return bytes;
    }

    public static byte[] UInt64(ulong value)
    {
        byte[] bytes = new byte[8];
        BinaryPrimitives.WriteUInt64BigEndian(bytes, value);
        return bytes;
    }

    public static byte[] String(string text) => [.. UInt32((uint)Encoding.UTF8.GetByteCount(text)), .. Encoding.UTF8.GetBytes(text)];

    public static byte[] InfoRequest(string name, params ushort[] items) =>
        [.. String(name), .. UInt16((ushort)items.Length), .. items.SelectMany(UInt16)];

    public static byte[] Query(string name, params string[] contexts) =>
        [.. String(name), .. UInt32((uint)contexts.Length), .. contexts.SelectMany(String)];

    public static byte[] Request(bool extended, NbdCommand command, ulong cookie, ulong offset, ulong length, NbdCommandFlags flags = 0) =>
    [
        .. UInt32(extended ? NbdMagic.ExtendedRequest : NbdMagic.Request),
        .. UInt16((ushort)flags),
        .. UInt16((ushort)command),
        .. UInt64(cookie),
        .. UInt64(offset),
        .. extended ? UInt64(length) : UInt32((uint)length),
    ];

    public static byte[] Pattern(int length, int seed = 1)
    {
        byte[] bytes = new byte[length];
        new Random(seed).NextBytes(bytes);
        return bytes;
    }
}
