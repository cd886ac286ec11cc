using System.Diagnostics;
using System.Globalization;

namespace Colo.Cli.Local;

/// <summary>
/// A process of ours that outlives this command, known by its pid file. The file also holds the kernel's start time of the process,
/// so that a pid that was given to somebody else is never signalled.
/// </summary>
public sealed class BackgroundProcess(string pidFile, string logFile)
{
    private static readonly TimeSpan Poll = TimeSpan.FromMilliseconds(20);

    public string LogFile { get; } = logFile;

    /// <summary>Null: it does not run.</summary>
    public int? Pid
    {
        get
        {
            string[] parts;
            try
            {
                parts = File.ReadAllText(pidFile).Split(' ', StringSplitOptions.TrimEntries);
            }
            catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
            {
                return null;
            }

            return parts.Length == 2 && int.TryParse(parts[0], CultureInfo.InvariantCulture, out int pid) && StartTime(pid) == parts[1] ? pid : null;
        }
    }

    public static void WritePidFile(string path, int pid) =>
        File.WriteAllText(path, string.Create(CultureInfo.InvariantCulture, $"{pid} {StartTime(pid)}\n"));

    /// <summary>Starts it in a session of its own, so that neither the end of this command nor Ctrl-C reaches it.</summary>
    public void Start(string file, IReadOnlyList<string> arguments)
    {
        // The shell only redirects and forks: `exec` makes the pid it prints the process's own.
        ProcessStartInfo info = new("/bin/sh") { RedirectStandardOutput = true, RedirectStandardInput = true, UseShellExecute = false };
        info.ArgumentList.Add("-c");
        info.ArgumentList.Add("log=$1; shift; { exec setsid \"$@\"; } </dev/null >>\"$log\" 2>&1 & echo $!");
        info.ArgumentList.Add("sh");
        info.ArgumentList.Add(LogFile);
        info.ArgumentList.Add(file);
        foreach (string argument in arguments)
        {
            info.ArgumentList.Add(argument);
        }

        using Process shell = Process.Start(info) ?? throw new CommandException(ExitCode.Failed, "/bin/sh did not start");
        string answer = shell.StandardOutput.ReadToEnd();
        shell.WaitForExit();
        if (!int.TryParse(answer, NumberStyles.Integer, CultureInfo.InvariantCulture, out int pid))
        {
            throw new CommandException(ExitCode.Failed, $"{file} could not be started; see {LogFile}");
        }

        WritePidFile(pidFile, pid);
    }

    /// <summary>SIGTERM, and SIGKILL after <paramref name="patience"/>.</summary>
    /// <returns>False: it did not run.</returns>
    public async Task<bool> StopAsync(TimeSpan patience, CancellationToken token)
    {
        if (Pid is not { } pid)
        {
            File.Delete(pidFile);
            return false;
        }

        Signal(pid, "TERM");
        if (!await GoneWithinAsync(patience, token))
        {
            Signal(pid, "KILL");
            await GoneWithinAsync(patience, token);
        }

        File.Delete(pidFile);
        return true;
    }

    public async Task<bool> KillAsync(CancellationToken token)
    {
        if (Pid is not { } pid)
        {
            return false;
        }

        Signal(pid, "KILL");
        await GoneWithinAsync(TimeSpan.FromSeconds(10), token);
        return true;
    }

    public string LogTail(int lines)
    {
        try
        {
            return string.Join(Environment.NewLine, File.ReadLines(LogFile).TakeLast(lines));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return "";
        }
    }

    private static void Signal(int pid, string signal)
    {
        using Process kill = Process.Start("kill", ["-" + signal, pid.ToString(CultureInfo.InvariantCulture)]);
        kill.WaitForExit();
    }

    /// <summary>
    /// Field 22 of /proc/PID/stat; null where there is no such process, or only its zombie. A zombie whose other threads still end is
    /// there: it holds its locks until the last of them is gone, and a successor would find the disk locked.
    /// </summary>
    private static string? StartTime(int pid)
    {
        try
        {
            // The second field is the name in parentheses and may hold anything, parentheses too.
            string stat = File.ReadAllText($"/proc/{pid}/stat");
            string[] fields = stat[(stat.LastIndexOf(')') + 2)..].Split(' ');
            bool ended = fields[0] is "Z" or "X" && Directory.GetDirectories($"/proc/{pid}/task").Length <= 1;
            return ended ? null : fields[19];
        }
        catch (IOException)
        {
            return null;
        }
    }

    private async Task<bool> GoneWithinAsync(TimeSpan bound, CancellationToken token)
    {
        long start = Stopwatch.GetTimestamp();
        while (Pid is not null)
        {
            if (Stopwatch.GetElapsedTime(start) > bound)
            {
                return false;
            }

            await Task.Delay(Poll, token);
        }

        return true;
    }
}
