using Colo.Testing.Kube;

namespace Colo.Operator.Tests.Kit;

/// <summary>A cluster of two nodes for one test, whose processes' logs are told where it fails.</summary>
public abstract class ClusterTest(KubeApiServerFixture kube) : IAsyncLifetime
{
    private readonly List<OperatorProcess> operators = [];

    protected ColoCluster Cluster { get; private set; } = null!;

    /// <summary>Nodes that are there from the beginning.</summary>
    protected virtual IReadOnlyList<string> Letters => ["a", "b"];

    public virtual async ValueTask InitializeAsync() => Cluster = await ColoCluster.StartAsync(kube.Server, await kube.NewNamespaceAsync(), Letters);

    protected OperatorProcess StartOperator(params IReadOnlyList<string> more)
    {
        OperatorProcess started = Cluster.StartOperator(more);
        operators.Add(started);
        return started;
    }

    /// <summary>A volume v, protected, and whose primary it is.</summary>
    protected async Task<(string Primary, string Secondary)> ProtectedVolumeAsync(string spec = "size: 16Mi")
    {
        await Cluster.CreateVolumeAsync("v", spec);
        await Cluster.PhaseAsync("v", "Protected");
        return await PairAsync();
    }

    protected async Task<(string Primary, string Secondary)> PairAsync() =>
        ((await Cluster.StatusAsync("v", "currentPrimary"))!, (await Cluster.StatusAsync("v", "currentSecondary"))!);

    internal PersistentGuest StartGuest() => new(() => Cluster.StatusAsync("v", "endpoint.uri"));

    protected static void Say(string text) => TestContext.Current.TestOutputHelper?.WriteLine(text);

    public virtual async ValueTask DisposeAsync()
    {
        GC.SuppressFinalize(this);
        foreach (OperatorProcess one in operators)
        {
            Say($"---- operator\n{one.Log}");
            await one.DisposeAsync();
        }

        foreach (AgentProcess agent in Cluster.Agents.Values)
        {
            Say($"---- {agent.Node}\n{agent.Log}");
        }

        await Cluster.DisposeAsync();
    }
}
