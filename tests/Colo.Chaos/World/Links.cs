using System.Globalization;
using System.Net;
using System.Security.Cryptography;
using Colo.Testing;

namespace Colo.Chaos.World;

/// <summary>Which packets of a link are dropped, seen from the place that is named first.</summary>
internal enum Direction
{
    Both,
    Inbound,
    Outbound,
}

/// <summary>
/// The network of one run: a bridge, and a network namespace for each place, all with a prefix that no other run has. Links are cut by
/// rules inside the places' namespaces; nothing of the machine's own rules is touched. Without root there are no namespaces: places are
/// loopback addresses then, and links cannot be cut. Disposing it removes every namespace, and with them their links and rules.
/// </summary>
internal sealed class Links : IAsyncDisposable
{
    private readonly string subnet;
    private readonly List<string> places = [];

    private Links(bool isIsolated)
    {
        IsIsolated = isIsolated;

        // 198.18.0.0/15 is for benchmarks of networks (RFC 2544): nobody's LAN.
        subnet = string.Create(CultureInfo.InvariantCulture, $"{(isIsolated ? "198.18" : "127.98")}.{RandomNumberGenerator.GetInt32(1, 255)}");
    }

    /// <summary>False: no root, so no namespaces.</summary>
    public bool IsIsolated { get; }

    /// <summary>Of this machine, as the places reach it.</summary>
    public IPAddress Host => IPAddress.Parse(subnet + ".1");

    /// <summary>A name that no other run has, and that tells whose it is: links, namespaces and mounts begin with it.</summary>
    public static string Run => Leftovers.Run;

    private string Bridge => Run + "br";

    public static async Task<Links> CreateAsync()
    {
        Links links = new(Environment.IsPrivilegedProcess);
        if (links.IsIsolated)
        {
            await Ip("link", "add", links.Bridge, "type", "bridge");
            await Ip("addr", "add", links.Host + "/24", "dev", links.Bridge);
            await Ip("link", "set", links.Bridge, "up");
        }

        return links;
    }

    public async Task AddAsync(string place)
    {
        places.Add(place);
        if (!IsIsolated)
        {
            return;
        }

        string outer = Run + place, inner = Run + place + "i";
        await Ip("netns", "add", Namespace(place));
        await Ip("link", "add", outer, "type", "veth", "peer", "name", inner);
        await Ip("link", "set", outer, "master", Bridge, "up");
        await Ip("link", "set", inner, "netns", Namespace(place), "name", "eth0");
        await Ip("-n", Namespace(place), "link", "set", "lo", "up");
        await Ip("-n", Namespace(place), "addr", "add", AddressOf(place) + "/24", "dev", "eth0");
        await Ip("-n", Namespace(place), "link", "set", "eth0", "up");
    }

    public IPAddress AddressOf(string place) => IPAddress.Parse(string.Create(CultureInfo.InvariantCulture, $"{subnet}.{10 + places.IndexOf(place)}"));

    /// <summary>The command that runs it in that place. `ip netns exec` becomes the program: its pid is the program's.</summary>
    public (string File, IReadOnlyList<string> Arguments) In(string place, string program, IReadOnlyList<string> arguments) =>
        IsIsolated ? ("ip", ["netns", "exec", Namespace(place), program, .. arguments]) : (program, arguments);

    /// <returns>What makes it whole again.</returns>
    public async Task<Func<Task>> CutAsync(string place, IPAddress other, Direction direction)
    {
        List<string[]> rules = [];
        if (direction != Direction.Outbound)
        {
            rules.Add(["INPUT", "-s", other.ToString(), "-j", "DROP"]);
        }

        if (direction != Direction.Inbound)
        {
            rules.Add(["OUTPUT", "-d", other.ToString(), "-j", "DROP"]);
        }

        return await RuleAsync(place, rules);
    }

    /// <summary>Drops one packet in so many, both ways: TCP makes delays of it, up to seconds.</summary>
    public Task<Func<Task>> LosePacketsAsync(string place, int oneIn)
    {
        string[] each = ["-i", "eth0", "-m", "statistic", "--mode", "nth", "--every", oneIn.ToString(CultureInfo.InvariantCulture), "--packet", "0", "-j", "DROP"];
        return RuleAsync(place, [["INPUT", .. each], ["OUTPUT", "-o", .. each[1..]]]);
    }

    /// <summary>Delays what leaves that place: by netem where the kernel has it, else by a queue that is slowly emptied.</summary>
    public async Task<Func<Task>> SlowAsync(string place)
    {
        string[] at = ["netns", "exec", Namespace(place), "tc", "qdisc"];
        ToolResult delayed = await Tool.RunAsync("ip", [.. at, "replace", "dev", "eth0", "root", "netem", "delay", "60ms", "30ms"]);
        if (delayed.ExitCode != 0)
        {
            await Ip([.. at, "replace", "dev", "eth0", "root", "tbf", "rate", "2mbit", "burst", "16kb", "latency", "400ms"]);
        }

        // Of two at a time the first to end ends both.
        return () => Tool.RunAsync("ip", [.. at, "del", "dev", "eth0", "root"]);
    }

    public async ValueTask DisposeAsync()
    {
        if (!IsIsolated)
        {
            return;
        }

        foreach (string place in places)
        {
            await Tool.RunAsync("ip", "netns", "del", Namespace(place));
            await Tool.RunAsync("ip", "link", "del", Run + place);
        }

        await Tool.RunAsync("ip", "link", "del", Bridge);
    }

    private string Namespace(string place) => $"{Run}-{place}";

    private async Task<Func<Task>> RuleAsync(string place, IReadOnlyList<string[]> rules)
    {
        foreach (string[] rule in rules)
        {
            await ChangeAsync("-A", rule);
        }

        return async () =>
        {
            foreach (string[] rule in rules)
            {
                await ChangeAsync("-D", rule);
            }
        };

        Task ChangeAsync(string how, string[] rule) => Ip(["netns", "exec", Namespace(place), "iptables", "-w", how, .. rule]);
    }

    private static async Task Ip(params string[] arguments) => (await Tool.RunAsync("ip", arguments)).EnsureSuccess();
}
