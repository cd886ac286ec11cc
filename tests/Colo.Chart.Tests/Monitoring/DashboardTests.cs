using System.Text;
using System.Text.Json.Nodes;
using Colo.Chart.Tests.Render;
using Colo.Testing;

namespace Colo.Chart.Tests.Monitoring;

/// <summary>The dashboards show what the processes export, in queries that Prometheus understands.</summary>
[Collection(nameof(RunningVolume))]
public sealed class DashboardTests(RunningVolume volume)
{
    [Fact]
    public async Task Prometheus_understands_every_query()
    {
        StringBuilder rules = new("groups:\n- name: queries\n  rules:\n");
        int count = 0;
        foreach (string query in Dashboards.Files.SelectMany(Dashboards.Queries))
        {
            rules.Append(System.Globalization.CultureInfo.InvariantCulture, $"  - {{record: 'query:{count++}', expr: {JsonValue.Create(query).ToJsonString()}}}\n");
        }

        count.ShouldBeGreaterThan(30);
        using TempDirectory folder = new();
        await File.WriteAllTextAsync(folder.File("queries.yaml"), rules.ToString());
        (await Tool.RunAsync("promtool", "check", "rules", folder.File("queries.yaml"))).EnsureSuccess();
    }

    [Fact]
    public async Task Every_metric_of_the_agent_is_shown_somewhere()
    {
        IReadOnlySet<string> exported = ExportedMetrics.NamesIn(await volume.MetricsAsync(volume.Targets[0]));
        HashSet<string> shown = [.. Dashboards.Files.SelectMany(Dashboards.Queries).SelectMany(Dashboards.MetricsIn)];
        exported.Where(n => n.StartsWith("colo_", StringComparison.Ordinal) && !n.EndsWith("_sum", StringComparison.Ordinal) && !n.EndsWith("_count", StringComparison.Ordinal))
            .Except(shown).ShouldBeEmpty();
    }

    [Fact]
    public void Panels_have_ids_places_and_a_data_source_that_can_be_chosen()
    {
        foreach (string file in Dashboards.Files)
        {
            JsonNode dashboard = Dashboards.Read(file);
            ((string?)dashboard["uid"]).ShouldBe(Path.GetFileNameWithoutExtension(file));
            JsonNode[] panels = [.. dashboard["panels"]!.AsArray().Select(p => p!)];
            panels.Select(p => (int)p["id"]!).ShouldBeUnique();
            Dashboards.Panels(dashboard).ShouldAllBe(p => (string)p["datasource"]!["uid"]! == "${datasource}");
            HashSet<(int X, int Y)> taken = [];
            foreach (JsonNode place in panels.Select(p => p["gridPos"]!))
            {
                for (int x = (int)place["x"]!; x < (int)place["x"]! + (int)place["w"]!; x++)
                {
                    x.ShouldBeLessThan(24);
                    taken.Add((x, (int)place["y"]!)).ShouldBeTrue($"two panels at {x},{place["y"]} of {file}");
                }
            }
        }
    }

    [Fact]
    public async Task The_ConfigMap_carries_the_files_as_they_are()
    {
        Manifest map = (await ColoChart.TemplateAsync(ColoChart.Newest, "--set", "monitoring.dashboards.enabled=true")).Single(m => m.Id == "ConfigMap/colo-operator-dashboards");
        ((string?)map.Content["metadata"]!["labels"]!["grafana_dashboard"]).ShouldBe("1");
        JsonObject data = (JsonObject)map.Content["data"]!;
        data.Count.ShouldBe(Dashboards.Files.Count);
        foreach (string file in Dashboards.Files)
        {
            JsonNode.DeepEquals(JsonNode.Parse((string)data[Path.GetFileName(file)]!), Dashboards.Read(file)).ShouldBeTrue(file);
        }
    }
}
