using System.Text.Json.Nodes;
using Colo.Testing;
using Colo.Testing.Kube;

namespace Colo.Agent.Tests.Cluster;

public sealed class NodeLeaseTests(KubeApiServerFixture kube)
{
    [Fact]
    public async Task An_agent_says_by_its_lease_that_it_lives_and_where_it_is_reached()
    {
        await using ClusterPair pair = await ClusterPair.StartAsync(kube.Server, await kube.NewNamespaceAsync());
        JsonNode first = await LeaseAsync(pair, "a");
        ((string?)first["spec"]!["holderIdentity"]).ShouldBe("a");
        ((int?)first["spec"]!["leaseDurationSeconds"]).ShouldBe(3);
        ((string?)first["metadata"]!["labels"]!["app.kubernetes.io/component"]).ShouldBe("agent");
        Annotation(first, "grpc-address").ShouldBe("unix:" + pair.A.GrpcSocket);
        Annotation(first, "replication-address").ShouldBe(pair.A.ReplicationAddress);
        Annotation(first, "version").ShouldNotBeEmpty();
        await Eventually.TrueAsync(
            async () => (string?)(await LeaseAsync(pair, "a"))["spec"]!["renewTime"] != (string?)first["spec"]!["renewTime"],
            "renewed");
    }

    [Fact]
    public async Task A_restarted_agent_takes_its_own_lease_over_and_a_deleted_one_is_made_anew()
    {
        await using ClusterPair pair = await ClusterPair.StartAsync(kube.Server, await kube.NewNamespaceAsync());
        string before = Annotation(await LeaseAsync(pair, "a"), "agent-instance");
        await pair.A.KillAsync();
        await pair.A.StartAsync();
        await Eventually.TrueAsync(async () => Annotation(await LeaseAsync(pair, "a"), "agent-instance") != before, "its new life holds the lease");
        ((int?)(await LeaseAsync(pair, "a"))["spec"]!["leaseTransitions"]).ShouldBe(1);

        await pair.Server.Admin.OutputAsync("delete", "lease", "-n", pair.Namespace, "colo-agent-a");
        await LeaseAsync(pair, "a");
        pair.A.Log.ShouldNotContain("another agent");
    }

    [Fact]
    public async Task A_second_live_agent_of_the_same_node_name_ends_and_says_why_and_the_first_goes_on()
    {
        await using ClusterPair pair = await ClusterPair.StartAsync(kube.Server, await kube.NewNamespaceAsync());
        string first = Annotation(await LeaseAsync(pair, "a"), "agent-instance");
        using TempDirectory otherDisks = new(onTmpfs: true);
        await using AgentUnderTest second = await pair.StartAgentAsync("a", otherDisks);
        (await second.WaitForExitAsync()).ShouldBe(1);
        second.Log.ShouldContain("another agent with the node name a is alive at unix:" + pair.A.GrpcSocket);
        Annotation(await LeaseAsync(pair, "a"), "agent-instance").ShouldBe(first);
        (await pair.A.Client.StatusAsync(new AgentApi.StatusRequest())).Node.Node.ShouldBe("a");
    }

    [Fact]
    public async Task A_node_that_got_new_disks_has_the_lease_once_the_former_agent_is_seen_silent()
    {
        await using ClusterPair pair = await ClusterPair.StartAsync(kube.Server, await kube.NewNamespaceAsync());
        string before = Annotation(await LeaseAsync(pair, "a"), "agent-instance");
        await pair.A.KillAsync();
        using TempDirectory otherDisks = new(onTmpfs: true);
        await using AgentUnderTest replaced = await pair.StartAgentAsync("a", otherDisks);
        await Eventually.TrueAsync(async () => Annotation(await LeaseAsync(pair, "a"), "agent-instance") != before, "the new agent holds the lease");
        Annotation(await LeaseAsync(pair, "a"), "grpc-address").ShouldBe("unix:" + replaced.GrpcSocket);
    }

    [Fact]
    public async Task A_wrong_kubeconfig_ends_the_start_with_a_sentence()
    {
        using TempDirectory directory = new(onTmpfs: true);
        await File.WriteAllTextAsync(directory.File("kubeconfig"), "kind: Nothing");
        ToolResult result = await Tool.RunAsync(
            "dotnet", "exec", Path.Combine(AppContext.BaseDirectory, "colo-agent.dll"),
            "--node-name", "a", "--pool", $"p={directory.File("p")}", "--kubeconfig", directory.File("kubeconfig"));
        result.ExitCode.ShouldBe(1);
        result.Error.ShouldStartWith("colo-agent: Kubernetes (--kubernetes, --kubeconfig)");
    }

    /// <summary>As soon as there is one.</summary>
    private static async Task<JsonNode> LeaseAsync(ClusterPair pair, string node)
    {
        JsonNode? lease = null;
        await Eventually.TrueAsync(
            async () =>
            {
                ToolResult found = await pair.Server.Admin.RunAsync("get", "lease", "-n", pair.Namespace, "colo-agent-" + node, "-o", "json");
                lease = found.ExitCode == 0 ? JsonNode.Parse(found.Output) : null;
                return lease is not null;
            },
            $"the lease of {node}");
        return lease!;
    }

    private static string Annotation(JsonNode lease, string name) => (string)lease["metadata"]!["annotations"]!["colo.dev/" + name]!;
}
