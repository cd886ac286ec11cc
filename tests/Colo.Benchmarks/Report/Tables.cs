using System.Globalization;
using Spectre.Console;

namespace Colo.Benchmarks.Report;

/// <summary>The figures as a person reads them.</summary>
internal static class Tables
{
    public static void Print(IAnsiConsole console, BenchReport report)
    {
        foreach (IGrouping<(string Group, string Medium), SteadyResult> group in report.Steady.GroupBy(result => (result.Group, result.Medium)))
        {
            console.Write(Steady(group.Key.Group, group.Key.Medium, [.. group], report.Ratios));
        }

        if (report.FirstTouch.Count > 0)
        {
            console.Write(FirstTouch(report.FirstTouch));
        }

        if (report.Pauses.Count > 0)
        {
            console.Write(Pauses(report.Pauses));
        }
    }

    private static Table Steady(string group, string medium, IReadOnlyList<SteadyResult> results, IReadOnlyList<Ratio> ratios)
    {
        Table table = NewTable($"{group} on {medium}", "job", "stack", "rate", "p50 us", "p99 us", "CPU us/request", "peak RSS MiB", "colo is");
        string last = "";
        foreach (SteadyResult result in results)
        {
            Ratio? ratio = ratios.FirstOrDefault(one =>
                one.Group == group && one.Medium == medium && one.Job == result.Job.Name && one.Peer == result.Stack);
            table.AddRow(
                last == result.Job.Name ? "" : result.Job.Name,
                result.Stack,
                result.Job.IsThroughput ? Number(result.Rate, 0) + " MiB/s" : Number(result.Rate, 0) + " IOPS",
                Number(result.Median.MedianMicroseconds, 0),
                Number(result.Median.P99Microseconds, 0),
                Number(result.Median.ServerCpuMicrosecondsPerRequest, 1),
                Number(result.PeakRssBytes / (double)(1 << 20), 0),
                ratio is null ? "" : $"{Number(ratio.Rate, 2)}x at {Number(ratio.CpuPerRequest, 2)}x CPU");
            last = result.Job.Name;
        }

        return table;
    }

    private static Table FirstTouch(IReadOnlyList<FirstTouchResult> results)
    {
        Table table = NewTable(
            "4 KiB random writes right after a checkpoint (copy-before-write)",
            "medium", "stack", "IOPS", "p50 us", "p99 us", "CPU us/request", "buffer bytes / byte", "file bytes / byte");
        foreach (FirstTouchResult result in results)
        {
            table.AddRow(
                result.Medium, result.Stack, Number(result.Median.Iops, 0), Number(result.Median.MedianMicroseconds, 0), Number(result.Median.P99Microseconds, 0),
                Number(result.Median.ServerCpuMicrosecondsPerRequest, 1), Number(result.BufferBytesPerByte, 1), Number(result.FileBytesPerByte, 1));
        }

        return table;
    }

    private static Table Pauses(IReadOnlyList<PauseResult> results)
    {
        Table table = NewTable(
            "checkpoint against buffer size", "medium", "stack", "written MiB", "buffer MiB", "call ms", "longest write ms", "typical write ms");
        foreach (PauseResult result in results)
        {
            table.AddRow(
                result.Medium, result.Stack, Number(result.WrittenBytes / (double)(1 << 20), 0), Number(result.BufferedBytes / (1 << 20), 0),
                Number(result.CallMilliseconds, 2), Number(result.LongestWriteMilliseconds, 2), Number(result.TypicalWriteMilliseconds, 3));
        }

        return table;
    }

    private static Table NewTable(string title, params string[] columns)
    {
        Table table = new Table().Title(title).Border(TableBorder.Simple);
        foreach (string column in columns)
        {
            TableColumn added = new(column) { NoWrap = true };
            table.AddColumn(column is "job" or "stack" or "medium" ? added : added.RightAligned());
        }

        return table;
    }

    private static string Number(double value, int digits) => value.ToString("N" + digits.ToString(CultureInfo.InvariantCulture), CultureInfo.InvariantCulture);
}
