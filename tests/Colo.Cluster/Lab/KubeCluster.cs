using System.Text.Json.Nodes;
using Colo.Cluster.Lab;
using Colo.Testing;
using Colo.Testing.Kube;

[assembly: AssemblyFixture(typeof(KubeCluster))]
[assembly: Xunit.v3.Parallelization(Mode = Xunit.Sdk.ParallelMode.None)]

namespace Colo.Cluster.Lab;

/// <summary>
/// The cluster that eng/e2e.sh made: three nodes, an agent on each, two operators, all from the project's images and chart. Scenarios
/// run one after the other; each asks for <see cref="HealthyAsync"/> first and mends what it broke.
/// </summary>
public sealed class KubeCluster : IDisposable
{
    private readonly TempDirectory cache = new();
    private readonly Kubectl kubectl;

    public KubeCluster() => kubectl = new Kubectl(Site.Kubeconfig, cache.Path);

    internal Kubectl Kubectl => kubectl;

    internal IReadOnlyList<Node> Nodes { get; } = [new("node1"), new("node2"), new("node3")];

    internal Node NodeOf(string name) => Nodes.Single(node => node.Name == name);

    /// <summary>All nodes are on, connected and Ready, all agents and operators are, and one operator leads.</summary>
    internal async Task HealthyAsync()
    {
        foreach (Node node in Nodes)
        {
            if (!node.IsRunning)
            {
                await node.BootAsync();
            }

            await node.HealAsync();
        }

        await Patience.UntilAsync("all nodes Ready", UnreadyNodesAsync);
        await Patience.UntilAsync("all agents and operators Ready", UnreadyPodsAsync);
        await Patience.UntilAsync("an operator leads", async () => await LeaderAsync() is null ? "none" : null);
    }

    /// <summary>The node of the leading operator's pod; null while there is no leader that runs.</summary>
    internal async Task<Node?> LeaderAsync()
    {
        string? holder = null;
        foreach (JsonNode? lease in (await kubectl.JsonAsync("-n", Site.Namespace, "get", "leases"))["items"]!.AsArray())
        {
            if ((string?)lease!["metadata"]!["labels"]?["app.kubernetes.io/component"] != "agent")
            {
                holder = (string?)lease["spec"]?["holderIdentity"];
            }
        }

        return (await PodsAsync("operator")).FirstOrDefault(pod => holder?.Split('@')[0] == pod.Name && pod.IsReady) is { } leader ? NodeOf(leader.Node) : null;
    }

    internal Task StopApiServerAsync() => Site.ScriptAsync("control.sh", "stop", "kube-apiserver");

    internal Task StartApiServerAsync() => Site.ScriptAsync("control.sh", "start", "kube-apiserver");

    /// <param name="component">agent or operator.</param>
    internal async Task<IReadOnlyList<Pod>> PodsAsync(string component)
    {
        JsonNode found = await kubectl.JsonAsync("-n", Site.Namespace, "get", "pods", "-l", $"app.kubernetes.io/component={component}");
        return [.. found["items"]!.AsArray().Select(Pod.Parse!)];
    }

    public void Dispose() => cache.Dispose();

    private async Task<string?> UnreadyNodesAsync()
    {
        JsonNode nodes = await kubectl.JsonAsync("get", "nodes");
        string[] ready = [.. nodes["items"]!.AsArray().Where(node => IsReady(node!)).Select(node => (string)node!["metadata"]!["name"]!)];
        return ready.Length == Nodes.Count ? null : $"only [{string.Join(' ', ready)}]";
    }

    private static bool IsReady(JsonNode node) => node["status"]!["conditions"]!.AsArray()
        .Any(condition => (string?)condition!["type"] == "Ready" && (string?)condition["status"] == "True");

    private async Task<string?> UnreadyPodsAsync()
    {
        IReadOnlyList<Pod> agents = await PodsAsync("agent");
        IReadOnlyList<Pod> operators = await PodsAsync("operator");
        Pod[] unready = [.. agents.Concat(operators).Where(pod => !pod.IsReady)];
        return agents.Count == Nodes.Count && operators.Count >= 1 && unready.Length == 0
            ? null
            : $"{agents.Count} agents, {operators.Count} operators, unready: [{string.Join(' ', unready.Select(pod => pod.Name))}]";
    }
}

/// <summary>One pod, as far as scenarios look at it.</summary>
internal sealed record Pod(string Name, string Node, bool IsReady, DateTimeOffset Created)
{
    public static Pod Parse(JsonNode pod) => new(
        (string)pod["metadata"]!["name"]!,
        (string?)pod["spec"]!["nodeName"] ?? "",
        pod["metadata"]!["deletionTimestamp"] is null && (pod["status"]!["conditions"]?.AsArray() ?? [])
            .Any(condition => (string?)condition!["type"] == "Ready" && (string?)condition["status"] == "True"),
        DateTimeOffset.Parse((string)pod["metadata"]!["creationTimestamp"]!, System.Globalization.CultureInfo.InvariantCulture));
}
