using System.Net;
using System.Net.Sockets;
using System.Text;
using Colo.Blocks;
using Colo.Nbd.Client;
using Colo.Nbd.Wire;
using Colo.Testing;

namespace Colo.Nbd.Tests.Client;

public class HandshakeTests
{
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_server_without_GO_is_entered_by_EXPORT_NAME(bool noZeroes)
    {
        ScriptedExport export = new() { KnowsGo = false, NoZeroes = noZeroes, SizeBytes = 12345678 };
        await using ScriptedServer server = new(export, async connection =>
            await connection.AcceptAsync(await connection.ReadRequestAsync()));
        await using NbdClientDevice client = await server.ConnectAsync();

        client.LengthBytes.ShouldBe(12345678);
        (await client.FlushAsync()).ShouldBe(BlockStatus.Ok);
    }

    [Fact]
    public async Task A_server_that_knows_no_option_at_all_still_serves()
    {
        ScriptedExport export = new() { KnowsGo = false, Structured = false };
        await using ScriptedServer server = new(export, async connection =>
            await connection.SimpleReplyAsync(await connection.ReadRequestAsync(), 0, 1, 2, 3));
        await using NbdClientDevice client = await server.ConnectAsync();
        byte[] read = new byte[3];

        (await client.ReadAsync(0, read)).ShouldBe(BlockStatus.Ok);

        read.ShouldBe([1, 2, 3]);
        client.Export.StructuredReplies.ShouldBeFalse();
        client.Export.BaseAllocationId.ShouldBeNull();
    }

    [Fact]
    public async Task The_features_that_the_server_has_are_in_force()
    {
        ScriptedExport export = new() { Extended = true, CheckpointId = 9, BlockSizes = (512, 4096, 1 << 20) };
        await using ScriptedServer server = new(export, connection => Task.Delay(Timeout.Infinite, connection.Stop));
        await using NbdClientDevice client = await NbdClientDevice.ConnectAsync(server.Options with { RequestCheckpoint = true });

        client.Export.ShouldBe(new NbdExportInfo
        {
            SizeBytes = 1 << 20,
            Flags = ScriptedExport.AllFlags,
            MinimumBlockBytes = 512,
            PreferredBlockBytes = 4096,
            MaximumPayloadBytes = 1 << 20,
            StructuredReplies = true,
            ExtendedHeaders = true,
            BaseAllocationId = 7,
            CheckpointId = 9,
        });
        client.SupportsCheckpoint.ShouldBeTrue();
        client.State.ShouldBe(NbdClientState.Connected);
    }

    [Fact]
    public async Task The_size_is_cut_to_whole_minimum_blocks()
    {
        ScriptedExport export = new() { SizeBytes = 4096 + 100, BlockSizes = (512, 4096, 1 << 20) };
        await using ScriptedServer server = new(export, connection => Task.Delay(Timeout.Infinite, connection.Stop));
        await using NbdClientDevice client = await server.ConnectAsync();

        client.LengthBytes.ShouldBe(4096);
        client.Capabilities.MinimumBlockBytes.ShouldBe(512);
    }

    [Theory]
    [InlineData(0u, 4096u, 4096u)]
    [InlineData(3u, 4096u, 4096u)]
    [InlineData(131072u, 131072u, 131072u)]
    [InlineData(4096u, 512u, 8192u)]
    [InlineData(4096u, 4096u, 512u)]
    public async Task Block_sizes_that_make_no_sense_are_refused(uint minimum, uint preferred, uint maximum)
    {
        await using ScriptedServer server = new(new ScriptedExport { BlockSizes = (minimum, preferred, maximum) }, _ => Task.CompletedTask);

        (await FailAsync(server)).Kind.ShouldBe(NbdClientErrorKind.BadLength);
    }

    [Fact]
    public async Task A_size_above_63_bits_is_refused()
    {
        await using ScriptedServer server = new(new ScriptedExport { SizeBytes = ulong.MaxValue }, _ => Task.CompletedTask);

        (await FailAsync(server)).Kind.ShouldBe(NbdClientErrorKind.BadLength);
    }

    [Fact]
    public async Task A_greeting_that_is_not_NBD_is_told_as_such()
    {
        await using ScriptedServer server = new((connection, _) => connection.SendAsync("SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n"u8.ToArray()));

        (await FailAsync(server)).Kind.ShouldBe(NbdClientErrorKind.BadMagic);
    }

    [Fact]
    public async Task An_option_reply_above_the_limit_is_refused_unread()
    {
        await using ScriptedServer server = AfterGreeting(async connection =>
        {
            (NbdOption option, _) = await connection.ReadOptionAsync();
            await connection.SendAsync(
                ScriptedConnection.Big(NbdMagic.OptionReply),
                ScriptedConnection.Big((uint)option),
                ScriptedConnection.Big((uint)NbdOptionReply.Ack),
                ScriptedConnection.Big(uint.MaxValue));
            await Task.Delay(Timeout.Infinite, connection.Stop);
        });

        (await FailAsync(server)).Kind.ShouldBe(NbdClientErrorKind.BadLength);
    }

    [Fact]
    public async Task A_reply_to_another_option_is_refused()
    {
        await using ScriptedServer server = AfterGreeting(async connection =>
        {
            await connection.ReadOptionAsync();
            await connection.SendOptionReplyAsync(NbdOption.List, NbdOptionReply.Ack);
            await Task.Delay(Timeout.Infinite, connection.Stop);
        });

        (await FailAsync(server)).Kind.ShouldBe(NbdClientErrorKind.BadMagic);
    }

    [Fact]
    public async Task Replies_without_end_to_one_option_are_refused()
    {
        await using ScriptedServer server = AfterGreeting(async connection =>
        {
            while (true)
            {
                (NbdOption option, _) = await connection.ReadOptionAsync();
                if (option == NbdOption.Go)
                {
                    break;
                }

                await connection.SendOptionReplyAsync(option, NbdOptionReply.ErrorUnsupported);
            }

            while (true)
            {
                await connection.SendOptionReplyAsync(NbdOption.Go, NbdOptionReply.Info, 0, 77, 1);
            }
        });

        (await FailAsync(server)).Kind.ShouldBe(NbdClientErrorKind.BadLength);
    }

    [Fact]
    public async Task A_meta_context_that_was_not_asked_for_is_refused()
    {
        await using ScriptedServer server = AfterGreeting(async connection =>
        {
            while (true)
            {
                (NbdOption option, _) = await connection.ReadOptionAsync();
                if (option == NbdOption.SetMetaContext)
                {
                    await connection.SendOptionReplyAsync(option, NbdOptionReply.MetaContext, [0, 0, 0, 1, .. "qemu:x"u8]);
                }

                await connection.SendOptionReplyAsync(option, NbdOptionReply.Ack);
            }
        });

        (await FailAsync(server)).Kind.ShouldBe(NbdClientErrorKind.UnexpectedReply);
    }

    [Fact]
    public async Task A_refusal_carries_the_servers_code_and_words()
    {
        await using ScriptedServer server = AfterGreeting(async connection =>
        {
            while (true)
            {
                (NbdOption option, _) = await connection.ReadOptionAsync();
                await connection.SendOptionReplyAsync(
                    option,
                    option == NbdOption.Go ? NbdOptionReply.ErrorUnknown : NbdOptionReply.ErrorUnsupported,
                    Encoding.UTF8.GetBytes("no such disk"));
            }
        });

        NbdClientException e = await FailAsync(server);

        (e.Kind, e.Refusal).ShouldBe((NbdClientErrorKind.Refused, NbdOptionReply.ErrorUnknown));
        e.Message.ShouldContain("no such disk");
    }

    [Fact]
    public async Task A_server_that_says_nothing_is_given_up_after_the_handshake_timeout()
    {
        await using ScriptedServer server = new((connection, _) => Task.Delay(Timeout.Infinite, connection.Stop));

        NbdClientException e = await Should.ThrowAsync<NbdClientException>(
            () => NbdClientDevice.ConnectAsync(server.Options with { HandshakeTimeout = TimeSpan.FromMilliseconds(50) }));

        e.Kind.ShouldBe(NbdClientErrorKind.Timeout);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_connect_that_hangs_is_given_up_after_the_handshake_timeout(bool tcp)
    {
        // A listener that accepts nobody and whose queue is full: connect(2) itself waits.
        using TempDirectory directory = new();
        using Socket listener = tcp
            ? new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp)
            : new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        listener.Bind(tcp ? new IPEndPoint(IPAddress.Loopback, 0) : new UnixDomainSocketEndPoint(directory.File("s")));
        listener.Listen(1);
        List<Socket> queued = [];
        for (int i = 0; i < 4; i++)
        {
            Socket socket = new(listener.AddressFamily, SocketType.Stream, listener.ProtocolType) { Blocking = false };
            queued.Add(socket);
            try
            {
                socket.Connect(listener.LocalEndPoint!);
            }
            catch (SocketException)
            {
                // Would block: the queue is full, or the connection is on its way.
            }
        }

        NbdEndpoint endpoint = tcp
            ? NbdEndpoint.Tcp("127.0.0.1", ((IPEndPoint)listener.LocalEndPoint!).Port)
            : NbdEndpoint.Unix(directory.File("s"));

        NbdClientException e = await Should.ThrowAsync<NbdClientException>(() => NbdClientDevice.ConnectAsync(
            new NbdClientOptions { Endpoint = endpoint, HandshakeTimeout = TimeSpan.FromMilliseconds(100) }));

        e.Kind.ShouldBe(NbdClientErrorKind.Timeout);
        queued.ForEach(socket => socket.Dispose());
    }

    [Fact]
    public async Task Connecting_can_be_cancelled()
    {
        using CancellationTokenSource cancellation = new();
        await using ScriptedServer server = new(async (connection, _) =>
        {
            await cancellation.CancelAsync();
            await Task.Delay(Timeout.Infinite, connection.Stop);
        });

        await Should.ThrowAsync<OperationCanceledException>(() => NbdClientDevice.ConnectAsync(server.Options, cancellation.Token));
    }

    [Fact]
    public async Task A_server_that_hangs_up_in_the_middle_is_told_as_unreachable()
    {
        await using ScriptedServer server = AfterGreeting(connection => connection.ReadOptionAsync());

        (await FailAsync(server)).Kind.ShouldBe(NbdClientErrorKind.Unreachable);
    }

    private static ScriptedServer AfterGreeting(Func<ScriptedConnection, Task> script) => new(async (connection, _) =>
    {
        await connection.SendAsync(
            ScriptedConnection.Big(NbdMagic.Init), ScriptedConnection.Big(NbdMagic.Option), ScriptedConnection.Big((ushort)3));
        await connection.ReceiveAsync(4);
        await script(connection);
    });

    private static Task<NbdClientException> FailAsync(ScriptedServer server) =>
        Should.ThrowAsync<NbdClientException>(() => server.ConnectAsync());
}
