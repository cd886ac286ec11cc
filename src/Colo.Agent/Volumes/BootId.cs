using System.Globalization;

namespace Colo.Agent.Volumes;

/// <summary>Tells one boot of the machine from another (proc(5), /proc/sys/kernel/random/boot_id), and when this one began.</summary>
public static class BootId
{
    public static string Current { get; } = File.ReadAllText("/proc/sys/kernel/random/boot_id").Trim();

    /// <summary>By the clock of now (proc_stat(5), btime): a clock that is set afterwards moves it. Set by those only who play another
    /// boot of a machine that goes on.</summary>
    public static DateTimeOffset Began { get; internal set; } = ReadBegan();

    private static DateTimeOffset ReadBegan()
    {
        const string name = "btime ";
        string? line = File.ReadLines("/proc/stat").FirstOrDefault(l => l.StartsWith(name, StringComparison.Ordinal));
        return line is not null && long.TryParse(line.AsSpan(name.Length), CultureInfo.InvariantCulture, out long seconds)
            ? DateTimeOffset.FromUnixTimeSeconds(seconds)
            : DateTimeOffset.MaxValue;
    }
}
