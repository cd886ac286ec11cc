using System.Runtime.InteropServices;

namespace Colo.Benchmarks.Report;

/// <summary>What the figures were measured on.</summary>
internal sealed record MachineInfo(DateTimeOffset When, string Processor, int Cores, string Kernel, string Runtime, double LoadBefore)
{
    public static MachineInfo Read() => new(
        DateTimeOffset.UtcNow,
        File.ReadLines("/proc/cpuinfo").FirstOrDefault(line => line.StartsWith("model name", StringComparison.Ordinal))?.Split(':')[1].Trim() ?? "unknown",
        Environment.ProcessorCount,
        RuntimeInformation.OSDescription,
        RuntimeInformation.FrameworkDescription,
        double.Parse(File.ReadAllText("/proc/loadavg").Split(' ')[0], System.Globalization.CultureInfo.InvariantCulture));
}
