using System.Globalization;
using System.Net;
using System.Security.Cryptography;
using Colo.Nbd.Server;
using Colo.Testing;

namespace Colo.Conformance.Tests.ServerSide;

/// <summary>A client whose machine vanishes: a network namespace of its own, whose link goes down. Not even its kernel answers any more.</summary>
public sealed class SilentPeerTests : IAsyncLifetime
{
    private readonly string name = "cs" + RandomNumberGenerator.GetHexString(6, lowercase: true);

    // 198.18.0.0/15 is for benchmarks of networks (RFC 2544): nobody's LAN.
    private readonly string subnet = string.Create(CultureInfo.InvariantCulture, $"198.19.{RandomNumberGenerator.GetInt32(1, 255)}");

    private string Host => subnet + ".1";

    public async ValueTask InitializeAsync()
    {
        Assert.SkipUnless(Environment.IsPrivilegedProcess, "network namespaces take root");
        await IpAsync("netns", "add", name);
        await IpAsync("link", "add", name, "type", "veth", "peer", "name", "there", "netns", name);
        await IpAsync("addr", "add", Host + "/24", "dev", name);
        await IpAsync("link", "set", name, "up");
        await IpAsync("-n", name, "addr", "add", subnet + ".2/24", "dev", "there");
        await IpAsync("-n", name, "link", "set", "there", "up");
    }

    [Fact]
    public async Task A_client_whose_machine_vanishes_is_cut_and_others_are_served_on()
    {
        MemoryDisk disk = new(1 << 20);
        NbdServerOptions options = new()
        {
            PeerSilence = TimeSpan.FromSeconds(2),
            BusyPoll = TimeSpan.Zero,
            Listeners = [new NbdListener.Tcp(new IPEndPoint(IPAddress.Any, 0))],
        };
        await using NbdServer server = new(options, new NbdExportTable(new NbdExport("disk", disk)));
        await server.StartAsync();
        int port = ((IPEndPoint)server.Endpoints[0]).Port;

        await using RunningTool vanishing = RunningTool.Start("ip", ["netns", "exec", name, .. Client($"nbd://{Host}:{port}/disk")]);
        await ReadyAsync(vanishing);

        await IpAsync("-n", name, "link", "set", "there", "down");
        string[] there = Client($"nbd://127.0.0.1:{port}/disk");
        await using RunningTool honest = RunningTool.Start(there[0], there[1..]);
        await ReadyAsync(honest);
        await Eventually.TrueAsync(() => server.ConnectionCount == 1, "the silent one is cut");
        honest.Process.HasExited.ShouldBeFalse("the other one is not");
    }

    public async ValueTask DisposeAsync()
    {
        await Tool.RunAsync("ip", "link", "del", name);
        await Tool.RunAsync("ip", "netns", "del", name);
    }

    /// <summary>Reads, says so, and then waits without a word for longer than any test.</summary>
    private const string Script = "import time\nh.pread(512, 0)\nprint('ready', flush=True)\ntime.sleep(600)";

    /// <summary>nbdsh, but with the system's python whatever stands first on the path.</summary>
    private static string[] Client(string uri) => ["/usr/bin/python3", "-m", "nbd", "-u", uri, "-c", Script];

    private static Task ReadyAsync(RunningTool client) =>
        Eventually.TrueAsync(() => client.Output.Contains("ready", StringComparison.Ordinal), "a client has read");

    private static async Task IpAsync(params string[] arguments) => (await Tool.RunAsync("ip", arguments)).EnsureSuccess();
}
