using System.Globalization;

namespace Colo.Benchmarks.Load;

/// <summary>What processes have used so far, from /proc (proc(5)).</summary>
internal sealed record ServerUsage(double CpuSeconds, long FileBytes, long PeakRssBytes)
{
    /// <summary>USER_HZ: 100 on every Linux that .NET runs on.</summary>
    private const double TicksPerSecond = 100;

    public static ServerUsage Of(IEnumerable<int> pids)
    {
        double cpu = 0;
        long fileBytes = 0;
        long peak = 0;
        foreach (int pid in pids)
        {
            cpu += CpuTicks(pid) / TicksPerSecond;
            fileBytes += Sum($"/proc/{pid}/io", "rchar:", "wchar:");
            peak += Sum($"/proc/{pid}/status", "VmHWM:") * 1024;
        }

        return new ServerUsage(cpu, fileBytes, peak);
    }

    /// <summary>utime + stime, fields 14 and 15; counted behind the program's name, which may hold blanks.</summary>
    private static long CpuTicks(int pid)
    {
        string stat = File.ReadAllText($"/proc/{pid}/stat");
        string[] fields = stat[(stat.LastIndexOf(')') + 2)..].Split(' ');
        return long.Parse(fields[11], CultureInfo.InvariantCulture) + long.Parse(fields[12], CultureInfo.InvariantCulture);
    }

    private static long Sum(string file, params string[] keys)
    {
        long sum = 0;
        foreach (string line in File.ReadLines(file))
        {
            string[] words = line.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries);
            if (words.Length > 1 && keys.Contains(words[0], StringComparer.Ordinal))
            {
                sum += long.Parse(words[1], CultureInfo.InvariantCulture);
            }
        }

        return sum;
    }
}
