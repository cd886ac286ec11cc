using Colo.AgentApi;
using Colo.Api;
using Colo.Control;
using Colo.Testing;
using Microsoft.Extensions.Logging.Abstractions;

namespace Colo.Driver.Tests;

/// <summary>Real agents, a feed that follows them as the operator's does, and rounds of one volume by hand.</summary>
internal sealed class DrivenVolume : IAsyncDisposable
{
    public const string Uid = "0f6ee35e-2bd6-4cb6-a9e5-00000000d21e";

    private readonly TempDirectory directory = new(onTmpfs: true);
    private readonly Dictionary<string, RealAgent> agents = new(StringComparer.Ordinal);
    private VolumeDriver driver;

    private DrivenVolume()
    {
        Feed = new AgentFeed(new AgentFeedOptions(), TimeProvider.System, NullLogger.Instance);
        Record = new VolumeRecordFile(directory.File("records"), Uid);
        driver = NewDriver();
        Volume = new ReplicatedVolume
        {
            Metadata = new ObjectMetadata { Name = "disk", Namespace = "test", Uid = Uid },
            Spec = new ReplicatedVolumeSpec
            {
                Size = ByteQuantity.FromMebibytes(16),
                Buffer = new BufferSpec { SizeLimit = ByteQuantity.FromMebibytes(64) },
                Failover = new FailoverSpec { HeartbeatTimeout = Duration.FromSeconds(3) },
            },
        };
    }

    public AgentFeed Feed { get; }

    public VolumeRecordFile Record { get; }

    public VolumeRecord Truth => Record.Read().ShouldNotBeNull();

    public ReplicatedVolume Volume { get; set; }

    public VolumeIntent Intent { get; set; } = VolumeIntent.None;

    public TimeSpan? DeadNodeGrace { get; init; }

    /// <summary>As the node list of a cluster says.</summary>
    public HashSet<string> Cordoned { get; } = new(StringComparer.Ordinal);

    public HashSet<string> Excluded { get; } = new(StringComparer.Ordinal);

    public HashSet<string> Holders { get; } = new(StringComparer.Ordinal);

    public List<RoundEvent> Events { get; } = [];

    public List<SettledRequest> Settled { get; } = [];

    public RealAgent this[string node] => agents[node];

    public static async Task<DrivenVolume> StartAsync(int nodes = 2, TimeSpan? deadNodeGrace = null)
    {
        DrivenVolume driven = new() { DeadNodeGrace = deadNodeGrace };
        driven.driver = driven.NewDriver();
        string[] names = [.. Enumerable.Range(0, nodes).Select(i => $"node-{(char)('a' + i)}")];
        foreach (RealAgent agent in await Task.WhenAll(names.Select(n => RealAgent.StartAsync(n, driven.directory))))
        {
            driven.agents.Add(agent.Node, agent);
            driven.Feed.Set(agent.Node, agent.Address);
        }

        await Eventually.TrueAsync(() => names.All(n => driven.Feed.Describe(n).Answers), "the feed hears every agent");
        return driven;
    }

    /// <summary>What a control plane that takes over begins with.</summary>
    public void ForgetDriver() => driver = NewDriver();

    public async Task<RoundResult> RoundAsync()
    {
        RoundResult result = await driver.RoundAsync(
            new RoundRequest(Volume, Intent)
            {
                Candidates = [.. Feed.Nodes.Select(Facts)],
                Holders = [.. Holders],
                Decided = (decision, _) =>
                {
                    Holders.UnionWith(decision.Nodes);
                    return Task.CompletedTask;
                },
            },
            CancellationToken.None);
        Volume = Volume with { Status = result.Status };
        Events.AddRange(result.Events);
        Settled.AddRange(result.Settled);
        Holders.ExceptWith(result.Deleted);
        foreach (SettledRequest settled in result.Settled)
        {
            Intent = settled.Verb switch
            {
                RequestVerb.Switchover => Intent with { SwitchOverTo = null },
                RequestVerb.Failover => Intent with { Failover = null },
                RequestVerb.Checkpoint => Intent with { Checkpoint = false },
                _ => Intent with { Resync = null },
            };
        }

        return result;
    }

    /// <summary>Rounds, as a work queue would run them, until the condition holds.</summary>
    public async Task<RoundResult> UntilAsync(Func<RoundResult, bool> condition, string what)
    {
        RoundResult? last = null;
        try
        {
            await Eventually.TrueAsync(async () => condition(last = await RoundAsync()), what);
        }
        catch (TimeoutException e)
        {
            string[] told = await Task.WhenAll(agents.Values.Select(a => a.DescribeAsync(Feed)));
            throw new TimeoutException(
                string.Join('\n', [
                    $"{e.Message}; it is {last?.Plan?.Situation}: {last?.Status.Message}",
                    .. Events.Where(v => v.Failed).Select(v => v.Message).Distinct(StringComparer.Ordinal), .. told]),
                e);
        }

        return last!;
    }

    public Task<RoundResult> UntilProtectedAsync() => UntilAsync(
        r => r.Status.Phase == VolumePhase.Protected && r.Status.Checkpoint?.Sequence > 0, "protected, with a first checkpoint");

    public string GuestUri() => Volume.Status!.Endpoint.ShouldNotBeNull().Uri.ShouldNotBeNull();

    public async ValueTask DisposeAsync()
    {
        await Feed.DisposeAsync();
        foreach (RealAgent agent in agents.Values)
        {
            await agent.DisposeAsync();
        }

        directory.Dispose();
    }

    private VolumeDriver NewDriver() => new(
        Uid, Feed, Record, new DriverOptions { Arbiter = ArbiterPlace.InDirectory(directory.File("records")), DeadNodeGrace = DeadNodeGrace }, TimeProvider.System);

    private NodeFacts Facts(string node)
    {
        AgentNode agent = Feed.Describe(node);
        return new(node)
        {
            AgentAnswers = agent.Answers,
            Schedulable = !Cordoned.Contains(node),
            Excluded = Excluded.Contains(node),
            Pools = (agent.Status?.Pools ?? []).ToDictionary(p => p.Name, p => new PoolFacts(p.FreeBytes, p.Healthy), StringComparer.Ordinal),
        };
    }
}

internal static class Guest
{
    public static async Task WriteAsync(string uri, byte pattern) =>
        (await Tool.RunAsync("qemu-io", "-f", "raw", "-c", $"write -P {pattern} 0 1M", "-c", "flush", uri)).EnsureSuccess().ShouldContain("wrote ");

    /// <summary>-r: opened for writing, qemu-io would flush when it closes, and a flush is held wherever a write is.</summary>
    public static async Task ExpectAsync(string uri, byte pattern) =>
        (await Tool.RunAsync("qemu-io", "-r", "-f", "raw", "-c", $"read -P {pattern} 0 1M", uri)).EnsureSuccess().ShouldNotContain("verification failed");
}
