using System.Net;
using Colo.Nbd.Server;
using Colo.Nbd.Wire;
using Colo.Testing;

namespace Colo.Nbd.Tests.Server;

/// <summary>What a hostile peer can take of a server on real sockets: a bounded part, and nobody else's.</summary>
public sealed class LimitTests : IDisposable
{
    private static readonly IPAddress Attacker = IPAddress.Parse("127.0.0.2");
    private static readonly IPAddress Honest = IPAddress.Loopback;

    private readonly List<RawClient> clients = [];

    [Fact]
    public async Task A_client_that_sends_a_byte_now_and_then_is_cut_at_the_end_of_its_time_and_others_are_served_meanwhile()
    {
        await using NbdServer server = await StartAsync(new() { HandshakeTimeout = TimeSpan.FromSeconds(2) });
        RawClient slow = Connect(server, Attacker);
        Task trickle = Task.Run(() => TrickleAsync(slow));
        await Eventually.TrueAsync(
            () =>
            {
                using RawClient honest = Open(server, Honest);
                honest.ReadDisk(0, 512).Length.ShouldBe(512);
                return trickle.IsCompleted;
            },
            "the slow one is cut, whatever it still sends");
        await trickle;
    }

    [Fact]
    public async Task Half_open_connections_of_one_address_take_no_place_of_another()
    {
        await using NbdServer server = await StartAsync(new() { MaxConnections = 12, MaxHandshakesPerAddress = 4, HandshakeTimeout = TimeSpan.FromMinutes(1) });
        for (int i = 0; i < 100; i++)
        {
            Connect(server, Attacker); // says nothing
        }

        await Eventually.TrueAsync(() => clients.Count(IsClosed) == 96, "all but four are closed");
        server.ConnectionCount.ShouldBe(4);
        for (int i = 0; i < 8; i++)
        {
            Open(server, Honest).ReadDisk(0, 512).Length.ShouldBe(512);
        }

        // Whoever went through its handshake no longer counts: an address may have more connections than it may have half-open ones.
        server.ConnectionCount.ShouldBe(12);
    }

    [Fact]
    public async Task Places_of_half_open_connections_are_free_again_when_they_end()
    {
        await using NbdServer server = await StartAsync(new() { MaxHandshakesPerAddress = 2 });
        for (int round = 0; round < 10; round++)
        {
            RawClient first = Connect(server, Attacker).Greet();
            RawClient second = Connect(server, Attacker).Greet();
            first.Dispose();
            second.Dispose();
            await Eventually.TrueAsync(() => server.ConnectionCount == 0, "both are gone");
        }

        Open(server, Attacker).ReadDisk(0, 512).Length.ShouldBe(512);
    }

    [Fact]
    public async Task One_export_takes_as_many_connections_as_it_may_and_the_next_is_told_why()
    {
        NbdExport one = new("one", new RecordingDisk());
        NbdExport other = new("other", new RecordingDisk());
        await using NbdServer server = new(Tcp(new() { MaxConnectionsPerExport = 3 }), new NbdExportTable(one, other));
        await server.StartAsync();
        RawClient[] three = [.. Enumerable.Range(0, 3).Select(_ => Connect(server, Honest).Greet().Go("one"))];
        RawClient fourth = Connect(server, Honest).Greet();
        OptionAnswer refusal = fourth.Ask(NbdOption.Go, Bytes.InfoRequest("one", 3))[^1];
        refusal.Reply.ShouldBe(NbdOptionReply.ErrorPolicy);
        refusal.Text.ShouldContain("as many connections as it may");
        fourth.Go("other").ReadDisk(0, 512).Length.ShouldBe(512);

        three[0].Dispose();
        await Eventually.TrueAsync(() => one.Connections.Count == 2, "its place is free");
        Connect(server, Honest).Greet().Go("one").ReadDisk(0, 512).Length.ShouldBe(512);
    }

    [Fact]
    public async Task A_client_that_never_reads_its_replies_costs_a_bounded_number_of_bytes_is_cut_and_disturbs_nobody()
    {
        const int readBytes = 1 << 20;
        const int asked = 4096;
        RecordingDisk disk = new(4 << 20);
        NbdServerOptions options = new() { SendStall = TimeSpan.FromSeconds(3) };
        await using NbdServer server = await StartAsync(options, disk);
        RawClient greedy = Open(server, Attacker);
        Task asking = Task.Run(() =>
        {
            try
            {
                for (int i = 0; i < asked; i++)
                {
                    greedy.Request(NbdCommand.Read, (ulong)i, 0, readBytes);
                }
            }
            catch (IOException)
            {
                // Cut while it still asked.
            }
        });

        RawClient honest = Open(server, Honest);
        await Eventually.TrueAsync(
            () =>
            {
                honest.ReadDisk(0, 4096).Length.ShouldBe(4096);
                return server.ConnectionCount == 1;
            },
            "it is cut, and the other one was served all the while");
        await asking;

        // What the socket's two buffers took, and what may wait in memory: never all that was asked for.
        long served = disk.Calls.Count(c => c.Length == readBytes);
        served.ShouldBeLessThan((options.MaxBytesInFlight / readBytes) + 64);
        honest.ReadDisk(0, 512).Length.ShouldBe(512);
    }

    public void Dispose()
    {
        foreach (RawClient client in clients)
        {
            client.Dispose();
        }
    }

    private static NbdServerOptions Tcp(NbdServerOptions options) =>
        options with { BusyPoll = TimeSpan.Zero, Listeners = [new NbdListener.Tcp(new IPEndPoint(IPAddress.Any, 0))] };

    private static async Task<NbdServer> StartAsync(NbdServerOptions options, RecordingDisk? disk = null)
    {
        NbdServer server = new(Tcp(options), new NbdExportTable(new NbdExport("", disk ?? new RecordingDisk())));
        await server.StartAsync();
        return server;
    }

    private RawClient Connect(NbdServer server, IPAddress from)
    {
        RawClient client = new(new IPEndPoint(IPAddress.Loopback, ((IPEndPoint)server.Endpoints[0]).Port), from);
        clients.Add(client);
        return client;
    }

    private RawClient Open(NbdServer server, IPAddress from) => Connect(server, from).Greet().Go();

    /// <summary>An option of 64 KiB, a byte at a time; ends when nobody listens any more.</summary>
    private static async Task TrickleAsync(RawClient client)
    {
        byte[] words = [0, 0, 0, 3, .. Bytes.UInt64(NbdMagic.Option), .. Bytes.UInt32((uint)NbdOption.List), 0, 0, 255, 255];
        try
        {
            for (int i = 0; ; i++)
            {
                client.Send([i < words.Length ? words[i] : (byte)0]);
                await Task.Delay(100);
            }
        }
        catch (IOException)
        {
            // Cut.
        }
    }

    /// <summary>The greeting may have come before the end, or not.</summary>
    private static bool IsClosed(RawClient client)
    {
        if (!client.Socket.Poll(0, System.Net.Sockets.SelectMode.SelectRead))
        {
            return false;
        }

        try
        {
            return client.Socket.Receive(new byte[64]) == 0;
        }
        catch (System.Net.Sockets.SocketException)
        {
            return true;
        }
    }
}
