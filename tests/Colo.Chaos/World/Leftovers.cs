using System.Globalization;
using System.Text.RegularExpressions;
using Colo.Testing;

namespace Colo.Chaos.World;

/// <summary>
/// What a run that was itself killed has left: its processes, mounts, namespaces and links, known by the run's name, which holds the pid of
/// its owner. The next run removes them; what belongs to a run that lives, or to none, is not touched.
/// </summary>
internal static partial class Leftovers
{
    /// <summary>Of this process. All that it starts has it in its environment.</summary>
    public static string Run { get; } = string.Create(CultureInfo.InvariantCulture, $"cc{Environment.ProcessId:x6}");

    private const string Variable = "COLO_CHAOS_RUN";
    private const string Namespaces = "/run/netns";
    private const string LinkClass = "/sys/class/net";

    /// <summary>From here on every process that this one starts says whose it is.</summary>
    public static void MarkChildren() => Environment.SetEnvironmentVariable(Variable, Run);

    /// <returns>The runs that had left something.</returns>
    public static async Task<IReadOnlyList<string>> RemoveAsync()
    {
        List<(int Pid, string Run)> processes = [.. Processes()];
        List<(string Run, string Target)> mounts = [.. Mounts()];
        List<string> named = [.. Names(Namespaces), .. Names(LinkClass)];
        List<string> dead = [.. processes.Select(p => p.Run).Concat(mounts.Select(m => m.Run)).Concat(named.Select(n => n[..Run.Length]))
            .Distinct(StringComparer.Ordinal).Where(run => !HasOwner(run))];
        foreach (string run in dead)
        {
            foreach ((int pid, _) in processes.Where(p => p.Run == run))
            {
                await Signal.SendAsync(pid, "KILL");
            }

            foreach ((_, string target) in mounts.Where(m => m.Run == run))
            {
                await Tool.RunAsync("umount", "--force", "--lazy", target);
            }

            foreach (string root in mounts.Where(m => m.Run == run).Select(m => Path.GetDirectoryName(Path.GetDirectoryName(m.Target))!).Distinct(StringComparer.Ordinal))
            {
                await Tool.RunAsync("rm", "--recursive", "--force", "--one-file-system", root);
            }

            foreach (string name in Names(Namespaces).Where(n => n.StartsWith(run, StringComparison.Ordinal)))
            {
                await Tool.RunAsync("ip", "netns", "del", name);
            }

            foreach (string name in Names(LinkClass).Where(n => n.StartsWith(run, StringComparison.Ordinal)))
            {
                await Tool.RunAsync("ip", "link", "del", name);
            }
        }

        return dead;
    }

    private static bool HasOwner(string run)
    {
        try
        {
            int pid = int.Parse(run.AsSpan(2), NumberStyles.HexNumber, CultureInfo.InvariantCulture);
            return File.ReadAllText(string.Create(CultureInfo.InvariantCulture, $"/proc/{pid}/cmdline")).Contains("colo-chaos", StringComparison.Ordinal);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return false;
        }
    }

    private static IEnumerable<string> Names(string directory) => Directory.Exists(directory)
        ? Directory.EnumerateFileSystemEntries(directory).Select(p => Path.GetFileName(p)).Where(n => RunName().IsMatch(n)).ToList()
        : [];

    private static IEnumerable<(string Run, string Target)> Mounts() => File.ReadAllLines("/proc/self/mounts")
        .Select(l => l.Split(' ')).Where(m => RunName().Match(m[0]).Length == m[0].Length).Select(m => (m[0], m[1]));

    private static IEnumerable<(int Pid, string Run)> Processes()
    {
        foreach (string process in Directory.EnumerateDirectories("/proc").Where(p => int.TryParse(Path.GetFileName(p), CultureInfo.InvariantCulture, out _)))
        {
            string? run = null;
            try
            {
                run = File.ReadAllText(Path.Combine(process, "environ")).Split('\0')
                    .FirstOrDefault(v => v.StartsWith(Variable + "=", StringComparison.Ordinal))?[(Variable.Length + 1)..];
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                // It ended meanwhile, or is another user's.
            }

            if (run is not null && RunName().IsMatch(run))
            {
                yield return (int.Parse(Path.GetFileName(process), CultureInfo.InvariantCulture), run);
            }
        }
    }

    [GeneratedRegex("^cc[0-9a-f]{6}", RegexOptions.None, 1000)]
    private static partial Regex RunName();
}
