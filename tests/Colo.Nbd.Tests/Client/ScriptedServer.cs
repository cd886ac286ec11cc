using System.Buffers.Binary;
using System.Net.Sockets;
using System.Text;
using Colo.Nbd.Client;
using Colo.Nbd.Wire;
using Colo.Testing;

namespace Colo.Nbd.Tests.Client;

/// <summary>What a scripted server says in its handshake.</summary>
internal sealed record ScriptedExport
{
    public const NbdTransmissionFlags AllFlags = NbdTransmissionFlags.HasFlags | NbdTransmissionFlags.SendFlush
        | NbdTransmissionFlags.SendFua | NbdTransmissionFlags.SendTrim | NbdTransmissionFlags.SendWriteZeroes
        | NbdTransmissionFlags.SendDf | NbdTransmissionFlags.SendCache | NbdTransmissionFlags.SendFastZero;

    public ulong SizeBytes { get; init; } = 1 << 20;

    public NbdTransmissionFlags Flags { get; init; } = AllFlags;

    public bool KnowsGo { get; init; } = true;

    public bool NoZeroes { get; init; } = true;

    public bool Structured { get; init; } = true;

    public bool Extended { get; init; }

    public uint? AllocationId { get; init; } = 7;

    public uint? CheckpointId { get; init; }

    public (uint Minimum, uint Preferred, uint Maximum)? BlockSizes { get; init; }
}

internal sealed record ScriptedRequest(
    NbdCommandFlags Flags, NbdCommand Command, ulong Cookie, ulong Offset, ulong Length, byte[] Payload);

/// <summary>An NBD server that does exactly what a test says, good or bad, on a unix socket; one script run a connection.</summary>
internal sealed class ScriptedServer : IAsyncDisposable
{
    private readonly TempDirectory directory = new();
    private readonly Socket listener = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
    private readonly CancellationTokenSource stop = new();
    private readonly Task accepting;
    private int connections;

    /// <param name="script">Gets the connection and its number, from 0. What it throws when the client hangs up is ignored.</param>
    public ScriptedServer(Func<ScriptedConnection, int, Task> script)
    {
        string path = directory.File("nbd.sock");
        listener.Bind(new UnixDomainSocketEndPoint(path));
        listener.Listen();
        Endpoint = NbdEndpoint.Unix(path, "disk");
        accepting = AcceptAsync(script);
    }

    public ScriptedServer(ScriptedExport export, Func<ScriptedConnection, Task> script)
        : this(async (connection, _) =>
        {
            await connection.HandshakeAsync(export);
            await script(connection);
        })
    {
    }

    public NbdEndpoint Endpoint { get; }

    public int Connections => Volatile.Read(ref connections);

    public NbdClientOptions Options => new() { Endpoint = Endpoint, RequestExtendedHeaders = true };

    public Task<NbdClientDevice> ConnectAsync() => NbdClientDevice.ConnectAsync(Options);

    public async ValueTask DisposeAsync()
    {
        await stop.CancelAsync();
        listener.Dispose();
        await accepting;
        stop.Dispose();
        directory.Dispose();
    }

    private async Task AcceptAsync(Func<ScriptedConnection, int, Task> script)
    {
        List<Task> running = [];
        while (true)
        {
            Socket socket;
            try
            {
                socket = await listener.AcceptAsync(stop.Token);
            }
            catch (Exception e) when (e is OperationCanceledException or SocketException or ObjectDisposedException)
            {
                break;
            }

            running.Add(RunAsync(script, socket, Interlocked.Increment(ref connections) - 1));
        }

        await Task.WhenAll(running);
    }

    private async Task RunAsync(Func<ScriptedConnection, int, Task> script, Socket socket, int number)
    {
        using NetworkStream stream = new(socket, ownsSocket: true);
        try
        {
            await script(new ScriptedConnection(stream, stop.Token), number);
        }
        catch (Exception e) when (e is IOException or OperationCanceledException)
        {
            // The client hung up, or the test is over.
        }
    }
}

internal sealed class ScriptedConnection(NetworkStream stream, CancellationToken stop)
{
    private bool extended;

    public CancellationToken Stop => stop;

    public async Task HandshakeAsync(ScriptedExport export)
    {
        byte[] greeting = new byte[18];
        BinaryPrimitives.WriteUInt64BigEndian(greeting, NbdMagic.Init);
        BinaryPrimitives.WriteUInt64BigEndian(greeting.AsSpan(8), NbdMagic.Option);
        BinaryPrimitives.WriteUInt16BigEndian(greeting.AsSpan(16), (ushort)(NbdHandshakeFlags.FixedNewstyle
            | (export.NoZeroes ? NbdHandshakeFlags.NoZeroes : NbdHandshakeFlags.None)));
        await SendAsync(greeting);
        await ReceiveAsync(4);
        while (!await AnswerOptionAsync(export))
        {
        }
    }

    public async Task SendAsync(params byte[][] parts)
    {
        foreach (byte[] part in parts)
        {
            await stream.WriteAsync(part, stop);
        }
    }

    public async Task<byte[]> ReceiveAsync(int length)
    {
        byte[] bytes = new byte[length];
        await stream.ReadExactlyAsync(bytes, stop);
        return bytes;
    }

    public Task SendOptionReplyAsync(NbdOption option, NbdOptionReply reply, params byte[] data) => SendAsync(
        [.. Big(NbdMagic.OptionReply), .. Big((uint)option), .. Big((uint)reply), .. Big((uint)data.Length), .. data]);

    public async Task<(NbdOption Option, byte[] Data)> ReadOptionAsync()
    {
        byte[] header = await ReceiveAsync(16);
        byte[] data = await ReceiveAsync((int)BinaryPrimitives.ReadUInt32BigEndian(header.AsSpan(12)));
        return ((NbdOption)BinaryPrimitives.ReadUInt32BigEndian(header.AsSpan(8)), data);
    }

    public async Task<ScriptedRequest> ReadRequestAsync()
    {
        byte[] header = await ReceiveAsync(extended ? 32 : 28);
        BinaryPrimitives.ReadUInt32BigEndian(header).ShouldBe(extended ? NbdMagic.ExtendedRequest : NbdMagic.Request);
        NbdCommand command = (NbdCommand)BinaryPrimitives.ReadUInt16BigEndian(header.AsSpan(6));
        ulong length = extended
            ? BinaryPrimitives.ReadUInt64BigEndian(header.AsSpan(24))
            : BinaryPrimitives.ReadUInt32BigEndian(header.AsSpan(24));
        return new ScriptedRequest(
            (NbdCommandFlags)BinaryPrimitives.ReadUInt16BigEndian(header.AsSpan(4)),
            command,
            BinaryPrimitives.ReadUInt64BigEndian(header.AsSpan(8)),
            BinaryPrimitives.ReadUInt64BigEndian(header.AsSpan(16)),
            length,
            command == NbdCommand.Write ? await ReceiveAsync((int)length) : []);
    }

    public Task SimpleReplyAsync(ScriptedRequest request, uint error = 0, params byte[] data) =>
        SendAsync([.. Big(NbdMagic.SimpleReply), .. Big(error), .. Big(request.Cookie), .. data]);

    /// <param name="claimedLength">What the header says, where that is not the payload's length.</param>
    public Task ChunkAsync(ScriptedRequest request, NbdReplyType type, bool done, byte[] payload, ulong? claimedLength = null)
    {
        ulong length = claimedLength ?? (ulong)payload.Length;
        byte[] kind = [.. Big((ushort)(done ? 1 : 0)), .. Big((ushort)type), .. Big(request.Cookie)];
        return extended
            ? SendAsync([.. Big(NbdMagic.ExtendedReply), .. kind, .. Big(request.Offset), .. Big(length), .. payload])
            : SendAsync([.. Big(NbdMagic.StructuredReply), .. kind, .. Big((uint)length), .. payload]);
    }

    public Task DataAsync(ScriptedRequest request, ulong offset, byte[] data, bool done = false) =>
        ChunkAsync(request, NbdReplyType.OffsetData, done, [.. Big(offset), .. data]);

    public Task HoleAsync(ScriptedRequest request, ulong offset, uint length, bool done = false) =>
        ChunkAsync(request, NbdReplyType.OffsetHole, done, [.. Big(offset), .. Big(length)]);

    public Task DoneAsync(ScriptedRequest request) => ChunkAsync(request, NbdReplyType.None, done: true, []);

    /// <summary>The plain answer to whatever this is, in the negotiated form.</summary>
    public Task AcceptAsync(ScriptedRequest request) => extended ? DoneAsync(request) : SimpleReplyAsync(request);

    public static byte[] Big(ushort value) => [(byte)(value >> 8), (byte)value];

    public static byte[] Big(uint value) => [.. Big((ushort)(value >> 16)), .. Big((ushort)value)];

    public static byte[] Big(ulong value) => [.. Big((uint)(value >> 32)), .. Big((uint)value)];

    /// <returns>Whether transmission begins.</returns>
    private async Task<bool> AnswerOptionAsync(ScriptedExport export)
    {
        (NbdOption option, byte[] data) = await ReadOptionAsync();
        switch (option)
        {
            case NbdOption.ExtendedHeaders when export.Extended:
                extended = true;
                await SendOptionReplyAsync(option, NbdOptionReply.Ack);
                return false;
            case NbdOption.StructuredReply when export.Structured:
                await SendOptionReplyAsync(option, NbdOptionReply.Ack);
                return false;
            case NbdOption.SetMetaContext:
                string asked = Encoding.UTF8.GetString(data);
                if (export.AllocationId is { } allocation && asked.Contains("base:allocation", StringComparison.Ordinal))
                {
                    await SendOptionReplyAsync(
                        option, NbdOptionReply.MetaContext, [.. Big(allocation), .. "base:allocation"u8]);
                }

                if (export.CheckpointId is { } checkpoint && asked.Contains("colo:checkpoint", StringComparison.Ordinal))
                {
                    await SendOptionReplyAsync(
                        option, NbdOptionReply.MetaContext, [.. Big(checkpoint), .. "colo:checkpoint"u8]);
                }

                await SendOptionReplyAsync(option, NbdOptionReply.Ack);
                return false;
            case NbdOption.Go when export.KnowsGo:
                await SendOptionReplyAsync(
                    option, NbdOptionReply.Info, [.. Big((ushort)0), .. Big(export.SizeBytes), .. Big((ushort)export.Flags)]);
                if (export.BlockSizes is { } sizes)
                {
                    await SendOptionReplyAsync(
                        option,
                        NbdOptionReply.Info,
                        [.. Big((ushort)3), .. Big(sizes.Minimum), .. Big(sizes.Preferred), .. Big(sizes.Maximum)]);
                }

                await SendOptionReplyAsync(option, NbdOptionReply.Ack);
                return true;
            case NbdOption.ExportName:
                Encoding.UTF8.GetString(data).ShouldBe("disk");
                await SendAsync([.. Big(export.SizeBytes), .. Big((ushort)export.Flags)], new byte[export.NoZeroes ? 0 : 124]);
                return true;
            case NbdOption.Abort:
                throw new IOException("the client aborts");
            default:
                await SendOptionReplyAsync(option, NbdOptionReply.ErrorUnsupported);
                return false;
        }
    }
}
