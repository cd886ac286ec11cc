using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text;
using Colo.Agent.Hosting;
using Colo.AgentApi;
using Colo.Testing;
using Colo.Testing.Tls;
using Grpc.Core;
using static Colo.Agent.Tests.AgentPair;

namespace Colo.Agent.Tests;

/// <summary>What a stranger's connections can take of a real agent: a bounded part of each listener, and none of what others need.</summary>
public sealed class ListenerLimitTests : IAsyncLifetime
{
    private static readonly IPAddress Stranger = IPAddress.Parse("127.0.0.2");

    private readonly TempDirectory directory = new(onTmpfs: true);
    private readonly TestAuthority authority = new("cluster-ca");
    private readonly List<(Socket Socket, int Port)> held = [];
    private readonly int grpcPort = LoopbackPort.FindFree();
    private AgentUnderTest agent = null!;

    public async ValueTask InitializeAsync()
    {
        await authority.MountAsync(directory.File("tls"), TestAuthority.AgentName);
        agent = await AgentUnderTest.StartAsync(
            "a", directory.Path, directory.File("arb"),
            "--tls-directory", directory.File("tls"), "--grpc-listen", $"unix:{Path.Combine(directory.Path, "a", "grpc.sock")},0.0.0.0:{grpcPort}");
    }

    [Fact]
    public async Task Thousands_of_silent_connections_take_a_bounded_part_of_every_port_and_calls_scrapes_and_the_guest_go_on()
    {
        new VolumeRecordFile(agent.ArbiterDirectory, "v").TryCreate(new("v", 1, "a", "", SecondaryState.None)).Done.ShouldBeTrue();
        await agent.Client.PrepareAsync(Request("v", 1, Role.Primary));
        int metrics = PortOf(agent.MetricsAddress);
        int replication = PortOf(agent.ReplicationAddress);
        foreach (int port in new[] { grpcPort, metrics, replication })
        {
            for (int i = 0; i < 1000; i++)
            {
                await ConnectAsync(port);
            }

            (await agent.Client.StatusAsync(new StatusRequest())).Node.Node.ShouldBe("a");
            (await agent.ScrapeAsync()).ShouldContain("colo_volume_term");
            await Guest.WriteAsync(agent.GuestUri("v"), 1, "0", "64k");
        }

        await Eventually.TrueAsync(() => Open(grpcPort) <= ListenerLimits.ConnectionsPerAddress, "of gRPC few are left");
        await Eventually.TrueAsync(() => Open(metrics) <= ListenerLimits.ConnectionsPerAddress, "of the metrics, too");
        await Eventually.TrueAsync(() => Open(replication) <= Colo.Nbd.Wire.NbdLimits.MaxHandshakesPerAddress, "and of replication");

        // Nobody waits for ever for a handshake that does not come.
        await Eventually.TrueAsync(() => Open(grpcPort) == 0 && Open(replication) == 0, "half-open connections end by themselves");
        agent.Log.ShouldContain("as many as may be");
        agent.Log.Split('\n').Length.ShouldBeLessThan(500, "a flood of connections is no flood of lines");
    }

    [Fact]
    public async Task Headers_that_come_a_byte_at_a_time_are_cut_and_others_scrape_meanwhile()
    {
        Socket slow = await ConnectAsync(PortOf(agent.MetricsAddress));
        byte[] words = Encoding.ASCII.GetBytes("GET /metrics HTTP/1.1\r\nHost: a\r\nX-Long: ");
        int sent = 0;
        await Eventually.TrueAsync(
            async () =>
            {
                (await agent.ScrapeAsync()).ShouldNotBeEmpty();
                try
                {
                    slow.Send([sent < words.Length ? words[sent] : (byte)'x']);
                    sent++;
                    return IsClosed(slow);
                }
                catch (SocketException)
                {
                    return true;
                }
            },
            "it is cut");
    }

    [Fact]
    public async Task A_request_larger_than_any_that_means_well_is_refused()
    {
        RpcException refused = await Should.ThrowAsync<RpcException>(
            async () => await agent.Client.StatusAsync(new StatusRequest { Uid = new string('x', ListenerLimits.MaxMessageBytes) }));
        refused.StatusCode.ShouldBe(StatusCode.ResourceExhausted);
        (await agent.Client.StatusAsync(new StatusRequest())).Node.Node.ShouldBe("a");
    }

    public async ValueTask DisposeAsync()
    {
        held.ForEach(h => h.Socket.Dispose());
        await agent.DisposeAsync();
        authority.Dispose();
        directory.Dispose();
    }

    private static int PortOf(string address) => int.Parse(address[(address.LastIndexOf(':') + 1)..], CultureInfo.InvariantCulture);

    private async Task<Socket> ConnectAsync(int port)
    {
        Socket socket = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        held.Add((socket, port));
        socket.Bind(new IPEndPoint(Stranger, 0));
        try
        {
            await socket.ConnectAsync(new IPEndPoint(IPAddress.Loopback, port));
        }
        catch (SocketException e) when (e.SocketErrorCode == SocketError.ConnectionReset)
        {
            // Closed at once: so soon that this side had not even noticed that it was connected.
        }

        return socket;
    }

    private int Open(int port) => held.Count(h => h.Port == port && !IsClosed(h.Socket));

    /// <summary>Reads what came: a greeting may stand before the end.</summary>
    private static bool IsClosed(Socket socket)
    {
        try
        {
            byte[] bytes = new byte[256];
            if (!socket.Connected)
            {
                return true;
            }

            while (socket.Poll(0, SelectMode.SelectRead))
            {
                if (socket.Receive(bytes) == 0)
                {
                    return true;
                }
            }

            return false;
        }
        catch (SocketException)
        {
            return true;
        }
    }
}
