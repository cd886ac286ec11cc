using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using Colo.Chart.Tests.Render;
using Colo.Testing;
using Colo.Testing.Local;
using YamlDotNet.RepresentationModel;

namespace Colo.Chart.Tests.Monitoring;

/// <summary>The alerts, by the real promtool.</summary>
public sealed partial class AlertTests
{
    private static readonly string UnitTests = Path.Combine(Built.Repository, "tests", "Colo.Chart.Tests", "Monitoring", "colo-alerts.test.yaml");

    private static readonly string[] Named =
    [
        "ColoVolumeNotProtected", "ColoVolumeSuspended", "ColoVolumeStale", "ColoCheckpointTooOld", "ColoBufferNearlyFull",
        "ColoResyncWithoutProgress", "ColoReplicationError", "ColoAgentDown", "ColoFailoverFailed",
    ];

    [Fact]
    public async Task Promtool_finds_nothing_wrong_with_the_rules() =>
        (await Tool.RunAsync("promtool", "check", "rules", "--lint=all", "--lint-fatal", ColoChart.RulesFile)).EnsureSuccess();

    [Fact]
    public async Task Every_alert_fires_when_it_must_and_only_then() =>
        (await Tool.RunAsync("promtool", "test", "rules", UnitTests)).EnsureSuccess();

    [Fact]
    public async Task No_alert_is_untested()
    {
        string[] tests = [.. (await ReadAsync(UnitTests))["tests"]!.AsArray().Select(t => (string)t!["name"]!)];
        string[] alerts = [.. (await RulesAsync()).Select(r => (string)r["alert"]!)];
        alerts.ShouldBeSubsetOf([.. Named, "ColoOperatorDown"]);
        Named.ShouldBeSubsetOf(alerts);
        foreach (string alert in alerts)
        {
            tests.Count(t => t.StartsWith(alert + " fires", StringComparison.Ordinal)).ShouldBeGreaterThan(0, alert);
            tests.Count(t => t.StartsWith(alert + " does not fire", StringComparison.Ordinal)).ShouldBeGreaterThan(0, alert);
        }
    }

    [Fact]
    public async Task Every_alert_says_what_happened_what_it_means_and_what_to_do()
    {
        foreach (JsonNode rule in await RulesAsync())
        {
            string alert = (string)rule["alert"]!;
            ((string?)rule["labels"]!["severity"]).ShouldBeOneOf(["warning", "critical"], alert);
            foreach (string part in new[] { "summary", "description", "runbook" })
            {
                string text = ((string?)rule["annotations"]![part]).ShouldNotBeNull($"{alert}: {part}");

                // A label that the expression drops would be printed as nothing.
                string expression = (string)rule["expr"]!;
                foreach (string label in LabelInText().Matches(text).Select(m => m.Groups["label"].Value).Where(_ => GroupedBy().IsMatch(expression)))
                {
                    GroupedBy().Match(expression).Groups["labels"].Value.Split(", ").ShouldContain(label, alert);
                }
            }
        }
    }

    [Fact]
    public async Task The_schema_lets_each_alert_be_switched_off()
    {
        JsonNode schema = JsonNode.Parse(await File.ReadAllTextAsync(Path.Combine(ColoChart.Folder, "values.schema.json")))!;
        JsonNode names = schema["properties"]!["monitoring"]!["properties"]!["prometheusRule"]!["properties"]!["disabled"]!["items"]!["enum"]!;
        names.AsArray().Select(n => (string)n!).Order(StringComparer.Ordinal)
            .ShouldBe((await RulesAsync()).Select(r => (string)r["alert"]!).Order(StringComparer.Ordinal));
    }

    internal static async Task<JsonNode[]> RulesAsync() =>
        [.. (await ReadAsync(ColoChart.RulesFile))["groups"]!.AsArray().SelectMany(g => g!["rules"]!.AsArray()).Select(r => r!)];

    private static async Task<JsonNode> ReadAsync(string path)
    {
        YamlStream stream = new();
        stream.Load(new StringReader(await File.ReadAllTextAsync(path)));
        return Manifest.ToJson(stream.Documents[0].RootNode)!;
    }

    [GeneratedRegex(@"\$labels\.(?<label>\w+)", RegexOptions.ExplicitCapture, 1000)]
    private static partial Regex LabelInText();

    [GeneratedRegex(@"\bby \((?<labels>[^)]*)\)", RegexOptions.ExplicitCapture, 1000)]
    private static partial Regex GroupedBy();
}
