using Colo.Operator.Tests.Kit;
using Colo.Testing;
using Colo.Testing.Kube;

namespace Colo.Operator.Tests;

/// <summary>The life of a volume, with real agents and a real API server: made, protected, failed over, moved, deleted.</summary>
public sealed class LifeTests(KubeApiServerFixture kube) : ClusterTest(kube)
{
    [Fact]
    public async Task A_volume_is_made_protected_and_deleted()
    {
        StartOperator();
        await ProtectedVolumeAsync();
        (await Cluster.ConditionAsync("v", "Ready")).ShouldBe("True");
        (await Cluster.ConditionAsync("v", "Protected")).ShouldBe("True");
        (await Cluster.ConditionAsync("v", "Protected", "lastTransitionTime")).ShouldNotBeNullOrEmpty();
        (await Cluster.StatusAsync("v", "observedGeneration")).ShouldBe("1");
        await Cluster.EventAsync("v", "Provisioned");
        await Cluster.EventAsync("v", "Protected");

        await Cluster.Admin.OutputAsync("delete", "replicatedvolume", "-n", Cluster.Namespace, "v", "--timeout=60s");
        (await Cluster.ExistsAsync("v")).ShouldBeFalse();
        foreach (AgentProcess agent in Cluster.Agents.Values)
        {
            Directory.EnumerateDirectories(agent.PoolDirectory).ShouldBeEmpty(agent.Node);
        }
    }

    [Fact]
    public async Task A_killed_primary_is_replaced_and_every_acknowledged_write_is_there()
    {
        OperatorProcess op = StartOperator();
        (string primary, string secondary) = await ProtectedVolumeAsync();
        await using PersistentGuest guest = StartGuest();
        await guest.MoreAsync(200, "a guest writes");

        await Cluster.Agents[primary].KillAsync();
        await guest.MoreAsync(200, "the other node serves");
        Say($"from the kill to the next acknowledged write: {guest.LongestPause.TotalSeconds:0.00} s");
        (await PairAsync()).Primary.ShouldBe(secondary);
        (await Cluster.StatusAsync("v", "term")).ShouldBe("2");
        await Cluster.EventAsync("v", "FailedOver");
        await Cluster.EventAsync("v", "FailingOver");

        Cluster.Agents[primary].Start();
        await Cluster.PhaseAsync("v", "Protected");
        await Cluster.EventAsync("v", "ResyncStarted");
        await guest.MoreAsync(200, "the guest goes on while and after the copy is made");
        await guest.VerifyAsync();
        (await op.GetAsync("/metrics")).ShouldContain("colo_failover_total{namespace=\"" + Cluster.Namespace);
        (await op.GetAsync("/metrics")).ShouldContain($"colo_volume_phase{{namespace=\"{Cluster.Namespace}\",volume=\"v\",phase=\"Protected\"}} 1");
        (await op.GetAsync("/readyz")).ShouldBe("Healthy");
    }

    [Fact]
    public async Task A_cordoned_node_loses_its_primary_without_losing_a_write()
    {
        StartOperator();
        (string primary, string secondary) = await ProtectedVolumeAsync();
        await using PersistentGuest guest = StartGuest();
        await guest.MoreAsync(100, "a guest writes");

        await Cluster.Admin.OutputAsync("cordon", primary);
        await Cluster.StatusIsAsync("v", "currentPrimary", secondary);
        await Cluster.PhaseAsync("v", "Protected");
        await Cluster.EventAsync("v", "SwitchedOver");
        await guest.MoreAsync(100, "the guest goes on at the other node");
        await guest.VerifyAsync();
        (await Cluster.EventsAsync("v")).ShouldNotContain("FailedOver");
    }

    [Fact]
    public async Task A_deletion_goes_on_without_a_dead_node_and_tells_what_is_left_there()
    {
        StartOperator("--deletion-grace=4s");
        (_, string secondary) = await ProtectedVolumeAsync();
        await Cluster.Agents[secondary].KillAsync();
        await Cluster.Admin.OutputAsync("delete", "replicatedvolume", "-n", Cluster.Namespace, "v", "--timeout=60s");
        (await Cluster.ExistsAsync("v")).ShouldBeFalse();
        await Cluster.EventAsync("v", "ReplicaLeftBehind");
    }

    [Fact]
    public async Task A_foreign_finalizer_holds_the_object_and_neither_is_touched_nor_hinders_ours()
    {
        StartOperator();
        await ProtectedVolumeAsync();
        string[] volume = ["replicatedvolume", "-n", Cluster.Namespace, "v"];
        await Cluster.Admin.OutputAsync([
            "patch", .. volume, "--type=json", "-p", """[{"op":"add","path":"/metadata/finalizers/-","value":"example.com/mine"}]"""]);
        await Cluster.Admin.OutputAsync(["delete", .. volume, "--wait=false"]);
        await Eventually.TrueAsync(
            async () => (await Cluster.VolumeAsync("v"))["metadata"]!["finalizers"]!.ToJsonString() == """["example.com/mine"]""",
            "ours are gone, the foreign one is there");
        await Cluster.Admin.OutputAsync(["patch", .. volume, "--type=json", "-p", """[{"op":"remove","path":"/metadata/finalizers"}]"""]);
        await Eventually.TrueAsync(async () => !await Cluster.ExistsAsync("v"), "the object is gone");
    }
}
