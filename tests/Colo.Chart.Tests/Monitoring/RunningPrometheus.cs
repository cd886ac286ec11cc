using System.Globalization;
using System.Text.Json.Nodes;
using Colo.Chart.Tests.Render;
using Colo.Testing;

namespace Colo.Chart.Tests.Monitoring;

/// <summary>A real Prometheus with the shipped rules, which scrapes and evaluates every second; configured as the PodMonitors say.</summary>
internal sealed class RunningPrometheus : IAsyncDisposable
{
    private readonly TempDirectory folder = new();
    private readonly HttpClient http = new();
    private RunningTool? process;

    private RunningPrometheus()
    {
    }

    public static async Task<RunningPrometheus> StartAsync(params IReadOnlyList<(string Job, string[] Targets)> jobs)
    {
        RunningPrometheus prometheus = new();
        try
        {
            await prometheus.StartProcessAsync(jobs);
            return prometheus;
        }
        catch
        {
            await prometheus.DisposeAsync();
            throw;
        }
    }

    /// <returns>The first value; null where there is none. An expression that it refuses fails the test.</returns>
    public async Task<double?> QueryAsync(string expression)
    {
        using HttpResponseMessage answer = await http.GetAsync(new Uri("/api/v1/query?query=" + Uri.EscapeDataString(expression), UriKind.Relative));
        JsonNode body = JsonNode.Parse(await answer.Content.ReadAsStringAsync())!;
        ((string?)body["status"]).ShouldBe("success", $"{expression}: {body.ToJsonString()}");
        JsonArray result = body["data"]!["result"]!.AsArray();
        return result.Count == 0 ? null : double.Parse((string)result[0]!["value"]![1]!, CultureInfo.InvariantCulture);
    }

    /// <summary>Names of the alerts that wait or fire, each once, in order.</summary>
    public async Task<string[]> AlertsAsync() =>
    [
        .. JsonNode.Parse(await http.GetStringAsync(new Uri("/api/v1/alerts", UriKind.Relative)))!["data"]!["alerts"]!.AsArray()
            .Select(a => (string)a!["labels"]!["alertname"]!).Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal),
    ];

    public async ValueTask DisposeAsync()
    {
        if (process is not null)
        {
            await process.DisposeAsync();
        }

        http.Dispose();
        folder.Dispose();
    }

    private async Task StartProcessAsync(IReadOnlyList<(string Job, string[] Targets)> jobs)
    {
        http.BaseAddress = new Uri($"http://127.0.0.1:{LoopbackPort.FindFree()}");
        IEnumerable<string> scrapes = jobs.Select(j =>
            $"  - {{job_name: {j.Job}, honor_labels: true, static_configs: [{{targets: [\"{string.Join("\", \"", j.Targets)}\"]}}]}}");
        await File.WriteAllTextAsync(folder.File("prometheus.yml"), string.Join('\n', [
            "global: {scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}",
            $"rule_files: [\"{ColoChart.RulesFile}\"]",
            "scrape_configs:",
            .. scrapes,
            "",
        ]));
        process = RunningTool.Start("prometheus", [
            "--config.file", folder.File("prometheus.yml"), "--storage.tsdb.path", folder.File("data"), "--web.listen-address", http.BaseAddress.Authority,
        ]);
        await Eventually.TrueAsync(IsReadyAsync, "Prometheus is ready");
    }

    private async Task<bool> IsReadyAsync()
    {
        process!.Process.HasExited.ShouldBeFalse(process.Error);
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
}
