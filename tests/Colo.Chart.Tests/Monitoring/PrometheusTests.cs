using System.Globalization;
using System.Text.Json.Nodes;
using Colo.Chart.Tests.Render;
using Colo.Testing;

namespace Colo.Chart.Tests.Monitoring;

/// <summary>A real Prometheus, with the shipped rules, scrapes real agents.</summary>
[Collection(nameof(RunningVolume))]
public sealed class PrometheusTests(RunningVolume volume)
{
    [Fact]
    public async Task Prometheus_scrapes_the_agents_and_answers_for_their_volume()
    {
        using TempDirectory folder = new();
        using HttpClient http = new() { BaseAddress = new Uri($"http://127.0.0.1:{LoopbackPort.FindFree()}") };
        int closed = LoopbackPort.FindFree();
        await File.WriteAllTextAsync(folder.File("prometheus.yml"),
            $$"""
            global: {scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}
            rule_files: ["{{ColoChart.RulesFile}}"]
            scrape_configs:
              - job_name: colo-agent
                honor_labels: true
                static_configs: [{targets: ["{{volume.Targets[0]}}", "{{volume.Targets[1]}}", "127.0.0.1:{{closed}}"]}]
            """);
        await using RunningTool prometheus = RunningTool.Start("prometheus", [
            "--config.file", folder.File("prometheus.yml"), "--storage.tsdb.path", folder.File("data"),
            "--web.listen-address", http.BaseAddress!.Authority,
        ]);

        await Eventually.TrueAsync(async () =>
        {
            prometheus.Process.HasExited.ShouldBeFalse(prometheus.Error);
            return await IsReadyAsync(http) && await QueryAsync(http, """sum(up{job="colo-agent"})""") is 2;
        }, "Prometheus has scraped both agents");
        (await QueryAsync(http, """count(colo_volume_primary{namespace="default",volume="disk"} == 1)""")).ShouldBe(1);
        (await QueryAsync(http, "max by (namespace, volume) (colo_volume_primary * colo_volume_in_sync * colo_volume_connected)")).ShouldBe(1);
        (await QueryAsync(http, """sum(colo_io_bytes_total{op="write"})""")).ShouldBe(1 << 20);
        (await QueryAsync(http, "count(count by (node) (colo_volume_term))")).ShouldBe(2);
        foreach (string query in Dashboards.Queries(Dashboards.Files.Single(f => f.EndsWith("colo-volumes.json", StringComparison.Ordinal))))
        {
            await QueryAsync(http, query);
        }

        // The third target is nobody: the alert on it begins to wait, and no other does but the operator's, which is not here.
        await Eventually.TrueAsync(async () => (await AlertsAsync(http)).Contains("ColoAgentDown", StringComparer.Ordinal), "ColoAgentDown is pending");
        (await AlertsAsync(http)).Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal).ShouldBe(["ColoAgentDown", "ColoOperatorDown"]);
    }

    /// <returns>The one value; null where there is none.</returns>
    private static async Task<double?> QueryAsync(HttpClient http, string expression)
    {
        using HttpResponseMessage answer = await http.GetAsync(new Uri("/api/v1/query?query=" + Uri.EscapeDataString(expression), UriKind.Relative));
        JsonNode body = JsonNode.Parse(await answer.Content.ReadAsStringAsync())!;
        ((string?)body["status"]).ShouldBe("success", $"{expression}: {body.ToJsonString()}");
        JsonArray result = body["data"]!["result"]!.AsArray();
        return result.Count == 0 ? null : double.Parse((string)result[0]!["value"]![1]!, CultureInfo.InvariantCulture);
    }

    private static async Task<bool> IsReadyAsync(HttpClient http)
    {
        try
        {
            using HttpResponseMessage answer = await http.GetAsync(new Uri("/-/ready", UriKind.Relative));
            return answer.IsSuccessStatusCode;
        }
        catch (HttpRequestException)
        {
            return false;
        }
    }

    private static async Task<string[]> AlertsAsync(HttpClient http) =>
    [
        .. JsonNode.Parse(await http.GetStringAsync(new Uri("/api/v1/alerts", UriKind.Relative)))!["data"]!["alerts"]!.AsArray()
            .Select(a => (string)a!["labels"]!["alertname"]!),
    ];
}
