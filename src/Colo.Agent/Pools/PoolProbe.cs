using System.Collections.Concurrent;
using System.Diagnostics;
using Colo.Agent.Options;

namespace Colo.Agent.Pools;

/// <summary>What the last probe of a pool found.</summary>
public sealed record PoolHealth(string Name, string Directory, bool IsHealthy, string Message, TimeSpan Latency, long FreeBytes, long TotalBytes);

/// <summary>
/// Writes a few bytes into each pool now and then and has them on disk (fdatasync) within a time: a storage that hangs must not look
/// healthy. A probe that hangs keeps its thread; the next one of that pool starts only when it came back, so that a dead disk costs
/// one thread and not one each interval.
/// </summary>
public sealed class PoolProbe(AgentOptions options, ILogger<PoolProbe> log) : BackgroundService
{
    private readonly ConcurrentDictionary<string, PoolHealth> health = new(StringComparer.Ordinal);
    private readonly Dictionary<string, Task<PoolHealth>> running = new(StringComparer.Ordinal);

    public IReadOnlyCollection<PoolHealth> All => [.. health.Values.OrderBy(p => p.Name, StringComparer.Ordinal)];

    /// <summary>False until every pool was probed once, and while any failed its last probe.</summary>
    public bool IsHealthy => health.Count == options.Pools.Count && health.Values.All(p => p.IsHealthy);

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using PeriodicTimer timer = new(TimeSpan.FromSeconds(options.Limits.ProbeIntervalSeconds));
        do
        {
            await Task.WhenAll(options.Pools.Select(pool => ProbeAsync(pool.Key, pool.Value)));
        }
        while (await timer.WaitForNextTickAsync(stoppingToken));
    }

    private async Task ProbeAsync(string name, string directory)
    {
        Task<PoolHealth> probe;
        lock (running)
        {
            if (!running.TryGetValue(name, out probe!) || probe.IsCompleted)
            {
                probe = Task.Factory.StartNew(
                    () => Probe(name, directory), CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
                running[name] = probe;
            }
        }

        TimeSpan limit = TimeSpan.FromSeconds(options.Limits.ProbeTimeoutSeconds);
        await Task.WhenAny(probe, Task.Delay(limit));
        Report(probe.IsCompleted ? await probe : new(name, directory, false, $"no answer to a small write within {limit}", limit, 0, 0));
    }

    private void Report(PoolHealth now)
    {
        bool wasHealthy = !health.TryGetValue(now.Name, out PoolHealth? before) || before.IsHealthy;
        health[now.Name] = now;
        if (wasHealthy && !now.IsHealthy)
        {
            log.PoolFailed(now.Name, now.Directory, now.Message);
        }
        else if (!wasHealthy && now.IsHealthy)
        {
            log.PoolRecovered(now.Name, now.Directory);
        }
    }

    private static PoolHealth Probe(string name, string directory)
    {
        long start = Stopwatch.GetTimestamp();
        try
        {
            Directory.CreateDirectory(directory);
            using (FileStream file = new(
                Path.Combine(directory, ".probe"), FileMode.Create, FileAccess.Write, FileShare.ReadWrite, bufferSize: 0))
            {
                file.Write(BitConverter.GetBytes(start));
                file.Flush(flushToDisk: true);
            }

            DriveInfo drive = new(directory);
            return new(name, directory, true, "", Stopwatch.GetElapsedTime(start), drive.AvailableFreeSpace, drive.TotalSize);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return new(name, directory, false, e.Message, Stopwatch.GetElapsedTime(start), 0, 0);
        }
    }
}
