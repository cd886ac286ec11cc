using Colo.Testing;

namespace Colo.Chart.Tests.Monitoring;

/// <summary>A real Prometheus, with the shipped rules, scrapes real agents.</summary>
[Collection(nameof(RunningVolume))]
public sealed class PrometheusTests(RunningVolume volume)
{
    [Fact]
    public async Task Prometheus_scrapes_the_agents_and_answers_for_their_volume()
    {
        string nobody = $"127.0.0.1:{LoopbackPort.FindFree()}";
        await using RunningPrometheus prometheus = await RunningPrometheus.StartAsync(("colo-agent", [.. volume.Targets, nobody]));
        await Eventually.TrueAsync(async () => await prometheus.QueryAsync("""sum(up{job="colo-agent"})""") is 2, "Prometheus has scraped both agents");
        (await prometheus.QueryAsync("""count(colo_volume_primary{namespace="default",volume="disk"} == 1)""")).ShouldBe(1);
        (await prometheus.QueryAsync("max by (namespace, volume) (colo_volume_primary * colo_volume_in_sync * colo_volume_connected)")).ShouldBe(1);
        (await prometheus.QueryAsync("""sum(colo_io_bytes_total{op="write"})""")).ShouldBe(1 << 20);
        (await prometheus.QueryAsync("count(count by (node) (colo_volume_term))")).ShouldBe(2);
        foreach (string query in Dashboards.Queries(Dashboards.Files.Single(f => f.EndsWith("colo-volumes.json", StringComparison.Ordinal))))
        {
            await prometheus.QueryAsync(query);
        }

        // The third target is nobody, and there is no operator: these two wait, and no other once both agents were seen.
        await Eventually.TrueAsync(
            async () => (await prometheus.AlertsAsync()).SequenceEqual(["ColoAgentDown", "ColoOperatorDown"]), "two alerts are pending");
    }
}
