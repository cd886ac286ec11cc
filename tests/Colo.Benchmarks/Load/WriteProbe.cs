using System.Diagnostics;
using Colo.Benchmarks.Stacks;
using Colo.Blocks;
using Colo.Nbd.Client;

namespace Colo.Benchmarks.Load;

/// <summary>
/// A guest of the simplest kind: one 4 KiB write after the other to the disk's first blocks, each one's time kept, until disposed.
/// Shows how long a checkpoint holds a write up.
/// </summary>
internal sealed class WriteProbe : IAsyncDisposable
{
    private const int BlockBytes = 4096;
    private const int Blocks = 16;

    private readonly NbdClientDevice device;
    private readonly List<(long Start, long End)> writes = [];
    private readonly SemaphoreSlim running = new(1);
    private readonly CancellationTokenSource stopping = new();
    private readonly Task loop;

    private WriteProbe(NbdClientDevice device)
    {
        this.device = device;
        loop = Task.Run(WriteAsync);
    }

    public double TypicalMilliseconds => Median.Of(Snapshot().Select(Milliseconds));

    public static async Task<WriteProbe> StartAsync(NbdTarget target) =>
        new(await NbdClient.ConnectAsync(new NbdClientOptions { Endpoint = NbdEndpoint.Unix(target.Socket, target.Export) }));

    /// <summary>Until the stack is warm on this path.</summary>
    public async Task SettleAsync()
    {
        while (Snapshot().Length < 200 && !loop.IsCompleted)
        {
            await Task.Delay(10);
        }
    }

    /// <summary>Runs <paramref name="step"/>; returns its time and that of the longest write that was under way at any time of it, in ms.</summary>
    /// <param name="step">The checkpoint.</param>
    /// <param name="stopGuest">The guest is stopped before and goes on after: its next write takes as much longer.</param>
    public async Task<(double StepMilliseconds, double LongestMilliseconds)> AroundAsync(Func<Task> step, bool stopGuest)
    {
        if (stopGuest)
        {
            await running.WaitAsync();
        }

        long start = Stopwatch.GetTimestamp();
        await step();
        long end = Stopwatch.GetTimestamp();
        if (stopGuest)
        {
            running.Release();
        }

        // The write that the step held up may end just behind it.
        int seen = Snapshot().Length;
        while (Snapshot().Length < seen + 2 && !loop.IsCompleted)
        {
            await Task.Delay(1);
        }

        double longest = Snapshot().Where(write => write.Start <= end && write.End >= start).Select(Milliseconds).DefaultIfEmpty(0).Max();
        return (Stopwatch.GetElapsedTime(start, end).TotalMilliseconds, longest);
    }

    public async ValueTask DisposeAsync()
    {
        await stopping.CancelAsync();
        await loop;
        await device.DisposeAsync();
        stopping.Dispose();
        running.Dispose();
    }

    private static double Milliseconds((long Start, long End) write) => Stopwatch.GetElapsedTime(write.Start, write.End).TotalMilliseconds;

    private (long Start, long End)[] Snapshot()
    {
        lock (writes)
        {
            return writes.ToArray();
        }
    }

    private async Task WriteAsync()
    {
        byte[] block = new byte[BlockBytes];
        for (int i = 0; !stopping.IsCancellationRequested; i++)
        {
            long start = Stopwatch.GetTimestamp();
            await running.WaitAsync();
            BlockStatus status = await device.WriteAsync(i % Blocks * (long)BlockBytes, block);
            running.Release();
            long end = Stopwatch.GetTimestamp();
            if (status != BlockStatus.Ok)
            {
                throw new InvalidOperationException($"a probing write failed: {status}");
            }

            lock (writes)
            {
                writes.Add((start, end));
            }
        }
    }
}
