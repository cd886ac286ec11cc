using Colo.Operator.Tests.Kit;
using Colo.Testing.Kube;

namespace Colo.Operator.Tests;

/// <summary>What goes wrong around an installation: clocks, versions.</summary>
public sealed class AdversityTests(KubeApiServerFixture kube) : ClusterTest(kube)
{
    protected override IReadOnlyList<string> Letters => [];

    [Fact]
    public async Task Clocks_that_are_days_apart_neither_fail_a_volume_over_nor_keep_it_from_it()
    {
        await Cluster.AddNodeAsync("a", new SkewedClock("+2d"));
        await Cluster.AddNodeAsync("b", new SkewedClock("+5h"));
        StartOperator();
        (string primary, string secondary) = await ProtectedVolumeAsync();
        await using PersistentGuest guest = StartGuest();
        await guest.MoreAsync(200, "a guest writes");
        (await RenewTimeAsync("a") - await RenewTimeAsync("b")).ShouldBeGreaterThan(TimeSpan.FromDays(1), "the agents' clocks are that wrong");

        // A Lease seen to be renewed, a heartbeat heard: time enough for each clock to be taken seriously, if one were.
        await Task.Delay(TimeSpan.FromSeconds(6));
        (await Cluster.StatusAsync("v", "term")).ShouldBe("1");
        (await PairAsync()).ShouldBe((primary, secondary));

        await Cluster.Agents[primary].KillAsync();
        await guest.MoreAsync(200, "the other node serves");
        (await PairAsync()).Primary.ShouldBe(secondary);
        Cluster.Agents[primary].Start();
        await Cluster.PhaseAsync("v", "Protected");
        await guest.VerifyAsync();
    }

    [Fact]
    public async Task An_older_agent_is_told_of_and_its_volumes_are_protected_and_failed_over_all_the_same()
    {
        AgentProcess? real = null;
        await using OlderAgent older = await OlderAgent.StartAsync(() => real!.GrpcPort);
        real = await Cluster.AddNodeAsync("a", "--grpc-advertise", $"127.0.0.1:{older.Port}");
        await Cluster.AddNodeAsync("b");
        StartOperator();
        (string primary, string secondary) = await ProtectedVolumeAsync();
        await Cluster.EventAsync("v", "AgentOutdated");
        await using PersistentGuest guest = StartGuest();
        await guest.MoreAsync(100, "a guest writes");
        if (primary != real.Node)
        {
            await Cluster.AnnotateAsync("v", $"colo.dev/switchover={real.Node}");
            await Cluster.StatusIsAsync("v", "currentPrimary", real.Node);
            await Cluster.PhaseAsync("v", "Protected");
            (primary, secondary) = (secondary, primary);
        }

        await real.KillAsync();
        await guest.MoreAsync(100, "the other node serves");
        (await PairAsync()).Primary.ShouldBe(secondary);
        await guest.VerifyAsync();
    }

    private async Task<DateTime> RenewTimeAsync(string letter) => (DateTime)(await Cluster.Admin.JsonAsync(
        "get", "lease", "-n", Cluster.Namespace, $"colo-agent-{Cluster.Node(letter)}"))["spec"]!["renewTime"]!;
}
