using Colo.Operator.Tests.Kit;
using Colo.Testing;
using Colo.Testing.Kube;

namespace Colo.Operator.Tests;

/// <summary>The life of a volume, with real agents and a real API server: made, protected, failed over, deleted.</summary>
public sealed class LifeTests(KubeApiServerFixture kube) : IAsyncLifetime
{
    private ColoCluster cluster = null!;
    private OperatorProcess? op;

    public async ValueTask InitializeAsync() => cluster = await ColoCluster.StartAsync(kube.Server, await kube.NewNamespaceAsync(), "a", "b");

    public async ValueTask DisposeAsync()
    {
        if (op is not null)
        {
            TestContext.Current.TestOutputHelper?.WriteLine(op.Log);
            await op.DisposeAsync();
        }

        foreach (AgentProcess agent in cluster.Agents.Values)
        {
            TestContext.Current.TestOutputHelper?.WriteLine($"---- {agent.Node}\n{agent.Log}");
        }

        await cluster.DisposeAsync();
    }

    [Fact]
    public async Task A_volume_is_made_protected_and_deleted()
    {
        op = cluster.StartOperator();
        await cluster.CreateVolumeAsync("v");
        await cluster.PhaseAsync("v", "Protected");
        (await cluster.ConditionAsync("v", "Ready")).ShouldBe("True");
        (await cluster.ConditionAsync("v", "Protected")).ShouldBe("True");
        (await cluster.ConditionAsync("v", "Protected", "lastTransitionTime")).ShouldNotBeNullOrEmpty();
        (await cluster.StatusAsync("v", "observedGeneration")).ShouldBe("1");
        await cluster.EventAsync("v", "Provisioned");
        await cluster.EventAsync("v", "Protected");

        await cluster.Admin.OutputAsync("delete", "replicatedvolume", "-n", cluster.Namespace, "v", "--timeout=60s");
        (await cluster.ExistsAsync("v")).ShouldBeFalse();
        foreach (AgentProcess agent in cluster.Agents.Values)
        {
            Directory.EnumerateDirectories(agent.PoolDirectory).ShouldBeEmpty(agent.Node);
        }
    }
}
