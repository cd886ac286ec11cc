using System.Globalization;
using Colo.Testing;

namespace Colo.Chaos.World;

/// <summary>
/// An agent or the operator: one program of the product that is killed and started again at one place of the network. What its lives
/// said goes to one log file. Only this class ends it: an end that nobody asked for is <see cref="Crash"/>.
/// </summary>
internal sealed class Victim(Links links, string place, string program, IReadOnlyList<string> arguments, string logPath) : IAsyncDisposable
{
    private readonly SemaphoreSlim changing = new(1);
    private RunningTool? life;

    public string Place => place;

    public int Lives { get; private set; }

    /// <summary>Null: it runs, or was killed by us.</summary>
    public string? Crash => life is { Process.HasExited: true } ended
        ? string.Create(CultureInfo.InvariantCulture, $"{place} ended by itself with {ended.Process.ExitCode}") : null;

    public async Task EnsureStartedAsync()
    {
        await changing.WaitAsync();
        try
        {
            if (life is null)
            {
                (string file, IReadOnlyList<string> words) = links.In(place, program, arguments);
                life = RunningTool.Start(file, words);
                Lives++;
            }
        }
        finally
        {
            changing.Release();
        }
    }

    /// <summary>SIGKILL; also where it is stopped.</summary>
    public async Task KillAsync()
    {
        await changing.WaitAsync();
        try
        {
            // One that crashed stays, to be told of.
            if (life is { Process.HasExited: false } alive)
            {
                alive.Process.Kill();
                await alive.Process.WaitForExitAsync();
                life = null;
                await WriteLogAsync(alive);
            }
        }
        finally
        {
            changing.Release();
        }
    }

    public async Task<Func<Task>> FreezeAsync()
    {
        if (life is { Process.HasExited: false } frozen)
        {
            int pid = frozen.Pid;
            await Signal.SendAsync(pid, "STOP");

            // A later life has another pid.
            return () => life == frozen ? Signal.SendAsync(pid, "CONT") : Task.CompletedTask;
        }

        return () => Task.CompletedTask;
    }

    /// <summary>Resident bytes and open file descriptors now.</summary>
    public (long ResidentBytes, int Descriptors) Usage()
    {
        string resident = File.ReadLines($"/proc/{life!.Pid}/status").Single(l => l.StartsWith("VmRSS:", StringComparison.Ordinal));
        string kibibytes = resident.Split(' ', StringSplitOptions.RemoveEmptyEntries)[^2];
        return (long.Parse(kibibytes.Split('\t')[^1], CultureInfo.InvariantCulture) << 10, Directory.EnumerateFiles($"/proc/{life.Pid}/fd").Count());
    }

    public async ValueTask DisposeAsync()
    {
        if (life is { } last)
        {
            await last.DisposeAsync();
            await WriteLogAsync(last);
            life = null;
        }

        changing.Dispose();
    }

    private Task WriteLogAsync(RunningTool ended) =>
        File.AppendAllTextAsync(logPath, string.Create(CultureInfo.InvariantCulture, $"---- life {Lives}\n{ended.Output}{ended.Error}"));
}
