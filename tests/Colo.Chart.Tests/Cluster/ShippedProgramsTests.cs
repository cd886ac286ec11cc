using System.Text.Json.Nodes;
using Colo.Chart.Tests.Monitoring;
using Colo.Chart.Tests.Render;
using Colo.Testing;

namespace Colo.Chart.Tests.Cluster;

/// <summary>
/// The chart and the programs fit: real processes, with the chart's arguments, certificates, service accounts and roles, make a volume
/// that is protected, and export what the dashboards show.
/// </summary>
public sealed class ShippedProgramsTests(InstalledChart cluster)
{
    [Fact]
    public async Task With_the_charts_arguments_certificates_and_roles_a_volume_becomes_protected()
    {
        using HttpClient http = new();
        using TempDirectory a = new();
        using TempDirectory b = new();
        using TempDirectory c = new();
        foreach (string node in new[] { "node-a", "node-b" })
        {
            await cluster.Admin.ApplyAsync($$"""
                apiVersion: v1
                kind: Node
                metadata:
                  name: {{node}}
                  labels: {kubernetes.io/hostname: {{node}}}
                """);
        }

        await using ShippedProgram agentA = await ShippedProgram.StartAgentAsync(cluster, "node-a", a.Path);
        await using ShippedProgram agentB = await ShippedProgram.StartAgentAsync(cluster, "node-b", b.Path);
        await using ShippedProgram leader = await ShippedProgram.StartOperatorAsync(cluster, c.Path);
        ShippedProgram[] all = [agentA, agentB, leader];
        foreach (ShippedProgram program in all)
        {
            await Eventually.TrueAsync(() => IsReadyAsync(http, program), $"ready at {program.Metrics}");
        }

        (await cluster.Admin.OutputAsync("get", "leases", "-n", ColoChart.Namespace, "-o", "name"))
            .ShouldContain("lease.coordination.k8s.io/colo-agent-node-a");

        await cluster.Admin.ApplyAsync(
            """
            apiVersion: colo.dev/v1alpha1
            kind: ReplicatedVolume
            metadata: {name: shipped, namespace: default}
            spec: {size: 32Mi, buffer: {medium: Memory, sizeLimit: 32Mi}, checkpoint: {interval: 0s}}
            """);
        ToolResult waited = await cluster.Admin.RunAsync(
            "wait", "--for=condition=Protected", "replicatedvolume/shipped", "-n", "default", "--timeout=115s");
        waited.ExitCode.ShouldBe(0, waited.Error + string.Concat(all.Select(p => $"\n---- {p.Metrics}\n{p.Log}")));

        JsonNode volume = await cluster.Admin.JsonAsync("get", "replicatedvolume", "shipped", "-n", "default");
        ((string?)volume["status"]!["currentPrimary"]).ShouldBeOneOf(["node-a", "node-b"]);

        IReadOnlySet<string> exported = ExportedMetrics.NamesIn(await MetricsAsync(http, leader));
        string[] named =
        [
            .. Dashboards.Files.SelectMany(Dashboards.Queries).Concat((await AlertTests.RulesAsync()).Select(r => (string)r["expr"]!))
                .SelectMany(Dashboards.MetricsIn),
        ];
        named.Distinct(StringComparer.Ordinal).Count().ShouldBeGreaterThan(30);
        named.Except(exported).Except(ExportedMetrics.NamesIn(await MetricsAsync(http, agentA))).ShouldBeEmpty();
        (await MetricsAsync(http, agentA)).ShouldContain("volume=\"shipped\",namespace=\"default\",node=\"node-a\"");

        await PrometheusSeesAllAsync([agentA.Metrics, agentB.Metrics], leader.Metrics);

        await cluster.Admin.OutputAsync("delete", "replicatedvolume", "shipped", "-n", "default", "--timeout=60s");
        foreach (ShippedProgram program in all)
        {
            program.Log.ShouldNotContain("orbidden", customMessage: "a role lacks what a program asks for");
        }
    }

    private static async Task PrometheusSeesAllAsync(string[] agents, string leader)
    {
        await using RunningPrometheus prometheus = await RunningPrometheus.StartAsync(("colo-agent", agents), ("colo-operator", [leader]));
        await Eventually.TrueAsync(async () => await prometheus.QueryAsync("sum(up)") is 3, "Prometheus has scraped all three");
        (await prometheus.QueryAsync("""sum(leader_election_master_status{job="colo-operator"})""")).ShouldBe(1);
        (await prometheus.QueryAsync("""colo_volume_phase{namespace="default",volume="shipped",phase="Protected"}""")).ShouldBe(1);
        (await prometheus.QueryAsync("""sum(colo_volume_in_sync{namespace="default",volume="shipped"} * colo_volume_primary)""")).ShouldBe(1);
        foreach (string query in Dashboards.Files.SelectMany(Dashboards.Queries))
        {
            await prometheus.QueryAsync(query);
        }

        await Eventually.TrueAsync(async () => (await prometheus.AlertsAsync()).Length == 0, "no alert waits");
    }

    private static Task<string> MetricsAsync(HttpClient http, ShippedProgram program) => http.GetStringAsync(new Uri($"http://{program.Metrics}/metrics"));

    private static async Task<bool> IsReadyAsync(HttpClient http, ShippedProgram program)
    {
        program.HasExited.ShouldBeFalse(program.Log);
        try
        {
            using HttpResponseMessage answer = await http.GetAsync(new Uri($"http://{program.Metrics}/readyz"));
            return answer.IsSuccessStatusCode;
        }
        catch (HttpRequestException)
        {
            return false;
        }
    }
}
