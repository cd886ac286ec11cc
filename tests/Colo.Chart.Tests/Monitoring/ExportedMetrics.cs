using System.Text.RegularExpressions;

namespace Colo.Chart.Tests.Monitoring;

/// <summary>What /metrics of a process offers: names as a query may say them, with _bucket, _sum and _count of a histogram.</summary>
internal static partial class ExportedMetrics
{
    public static IReadOnlySet<string> NamesIn(string text)
    {
        HashSet<string> names = new(StringComparer.Ordinal);
        foreach (Match type in TypeLine().Matches(text))
        {
            string name = type.Groups["name"].Value;
            names.UnionWith(type.Groups["type"].Value == "histogram" ? [$"{name}_bucket", $"{name}_sum", $"{name}_count"] : [name]);
        }

        return names;
    }

    [GeneratedRegex(@"^# TYPE (?<name>\S+) (?<type>\S+)$", RegexOptions.ExplicitCapture | RegexOptions.Multiline, 1000)]
    private static partial Regex TypeLine();
}
