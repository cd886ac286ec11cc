using System.Text.Json;

namespace Colo.Benchmarks.Report;

/// <summary>bench.json: all figures, for comparing runs.</summary>
internal static class ReportFile
{
    private static readonly JsonSerializerOptions Options = new(JsonSerializerDefaults.Web) { WriteIndented = true };

    public static Task WriteAsync(string path, BenchReport report) => File.WriteAllTextAsync(path, JsonSerializer.Serialize(report, Options) + "\n");
}
