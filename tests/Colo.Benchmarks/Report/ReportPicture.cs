using System.Globalization;

namespace Colo.Benchmarks.Report;

/// <summary>bench.svg: the report as one picture.</summary>
internal static class ReportPicture
{
    public static Task WriteAsync(string path, BenchReport report)
    {
        List<BarPanel> panels = [];
        foreach (IGrouping<(string Group, string Medium), SteadyResult> group in report.Steady.GroupBy(result => (result.Group, result.Medium)))
        {
            panels.Add(new BarPanel(
                $"{group.Key.Group}, {group.Key.Medium}",
                "longer is better; each job has its own scale",
                [.. group.GroupBy(result => result.Job.Name).Select(job => new BarGroup(job.Key, [.. job.Select(SteadyBar)]))]));
        }

        if (report.FirstTouch.Count > 0)
        {
            panels.Add(new BarPanel(
                "first write to a grain after a checkpoint, 4 KiB random, depth 32",
                "longer is better",
                [
                    .. report.FirstTouch.GroupBy(result => result.Medium).Select(medium => new BarGroup(medium.Key, [.. medium.Select(result =>
                        new Bar(result.Stack, result.Median.Iops, Say($"{result.Median.Iops:N0} IOPS, {result.FileBytesPerByte:N1} bytes moved for each written")))])),
                ]));
        }

        if (report.Pauses.Count > 0)
        {
            panels.Add(new BarPanel(
                "longest write around a checkpoint, against the buffer's size",
                "shorter is better; one scale for all",
                [
                    .. report.Pauses.GroupBy(result => (result.Medium, result.WrittenBytes)).Select(size => new BarGroup(
                        Say($"{size.Key.Medium}, {size.Key.WrittenBytes >> 20} MiB"),
                        [
                            .. size.Select(result => new Bar(
                                result.Stack, result.LongestWriteMilliseconds, Say($"{result.LongestWriteMilliseconds:N1} ms (call {result.CallMilliseconds:N1} ms)"))),
                        ])),
                ],
                CommonScale: true));
        }

        MachineInfo machine = report.Machine;
        string subtitle = Say($"{machine.Processor}, {machine.Cores} cores, {machine.Kernel}, {machine.When:yyyy-MM-dd}, plan {report.Plan}");
        return File.WriteAllTextAsync(path, BarChart.Draw("ColoOperator beside QEMU, qemu-nbd and nbdkit", subtitle, panels));
    }

    private static Bar SteadyBar(SteadyResult result)
    {
        string unit = result.Job.IsThroughput ? "MiB/s" : "IOPS";
        return new Bar(
            result.Stack, result.Rate, Say($"{result.Rate:N0} {unit}, p99 {result.Median.P99Microseconds:N0} us, CPU {result.Median.ServerCpuMicrosecondsPerRequest:N1} us"));
    }

    private static string Say(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
