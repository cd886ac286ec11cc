using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using Colo.Chart.Tests.Render;

namespace Colo.Chart.Tests.Monitoring;

/// <summary>The dashboards' files, and the queries in them.</summary>
internal static partial class Dashboards
{
    public static IReadOnlyList<string> Files { get; } =
        [.. Directory.GetFiles(Path.Combine(ColoChart.Folder, "files", "dashboards"), "*.json").Order(StringComparer.Ordinal)];

    public static JsonNode Read(string file) => JsonNode.Parse(File.ReadAllText(file))!;

    public static IEnumerable<JsonNode> Panels(JsonNode dashboard) => dashboard["panels"]!.AsArray().Where(p => (string)p!["type"]! != "row").Select(p => p!);

    /// <summary>With Grafana's variables replaced, as Prometheus gets them.</summary>
    public static IReadOnlyList<string> Queries(string file) =>
    [
        .. Panels(Read(file)).SelectMany(p => p["targets"]!.AsArray())
            .Select(t => ((string)t!["expr"]!).Replace("$__rate_interval", "5m", StringComparison.Ordinal).Replace("$namespace", ".*", StringComparison.Ordinal)
                .Replace("$volume", ".*", StringComparison.Ordinal)),
    ];

    /// <summary>Names of metrics in an expression: words that are followed by a selector, a range, or an operator, and are no function.</summary>
    public static IEnumerable<string> MetricsIn(string expression) => MetricName().Matches(expression).Select(m => m.Value).Distinct(StringComparer.Ordinal);

    [GeneratedRegex(@"\b(colo|workqueue|controller_runtime|leader_election|process|dotnet)_\w+\b(?!\s*=)", RegexOptions.ExplicitCapture, 1000)]
    private static partial Regex MetricName();
}
