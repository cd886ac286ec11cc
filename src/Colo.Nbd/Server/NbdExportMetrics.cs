using System.Diagnostics;
using Colo.Blocks;

namespace Colo.Nbd.Server;

/// <summary>The kinds of requests that are counted.</summary>
public enum NbdOperation
{
    Read,
    Write,
    Flush,
    Trim,
    Cache,
    WriteZeroes,
    BlockStatus,
    Checkpoint,
}

/// <summary>What one kind of request has cost so far.</summary>
/// <param name="Requests">Answered, errors included.</param>
/// <param name="Bytes">Effect length of those answered Ok.</param>
/// <param name="Errors">Answered with an error.</param>
/// <param name="TotalTime">From the start of the device's work to its answer, summed.</param>
/// <param name="LatencyBuckets">Requests by time taken; bounds in <see cref="LatencyBuckets.UpperBounds"/>, the last is open.</param>
public sealed record NbdOperationSnapshot(long Requests, long Bytes, long Errors, TimeSpan TotalTime, IReadOnlyList<long> LatencyBuckets);

/// <summary>
/// Counters of one export. Each connection counts for itself (nothing is shared between cores on the hot path); reading sums up.
/// </summary>
public sealed class NbdExportMetrics
{
    private readonly Lock gate = new();
    private readonly NbdSessionCounters ended = new();
    private readonly List<NbdSessionCounters> live = [];

    public NbdOperationSnapshot Snapshot(NbdOperation operation)
    {
        NbdSessionCounters sum = new();
        lock (gate)
        {
            sum.Add(ended);
            foreach (NbdSessionCounters session in live)
            {
                sum.Add(session);
            }
        }

        return sum.ToSnapshot(operation);
    }

    internal NbdSessionCounters Attach()
    {
        NbdSessionCounters counters = new();
        lock (gate)
        {
            live.Add(counters);
        }

        return counters;
    }

    internal void Detach(NbdSessionCounters counters)
    {
        lock (gate)
        {
            if (live.Remove(counters))
            {
                ended.Add(counters);
            }
        }
    }
}

/// <summary>One connection's share of the counters. Its own thread and those that complete its requests count here.</summary>
internal sealed class NbdSessionCounters
{
    private const int Buckets = LatencyBuckets.Count;
    private const int Errors = Buckets;
    private const int Bytes = Buckets + 1;
    private const int Ticks = Buckets + 2;
    private const int Stride = 32; // four cache lines an operation
    private static readonly double MicrosecondsPerTick = 1e6 / Stopwatch.Frequency;

    private readonly long[] cells = new long[Stride * (1 + (int)NbdOperation.Checkpoint)];

    public void Count(NbdOperation operation, long bytes, BlockStatus status, long elapsedTicks)
    {
        int row = (int)operation * Stride;
        Interlocked.Increment(ref cells[row + LatencyBuckets.IndexOf(elapsedTicks * MicrosecondsPerTick)]);
        Interlocked.Add(ref cells[row + Ticks], elapsedTicks);
        if (status == BlockStatus.Ok)
        {
            Interlocked.Add(ref cells[row + Bytes], bytes);
        }
        else
        {
            Interlocked.Increment(ref cells[row + Errors]);
        }
    }

    public void Add(NbdSessionCounters other)
    {
        for (int i = 0; i < cells.Length; i++)
        {
            cells[i] += Interlocked.Read(ref other.cells[i]);
        }
    }

    public NbdOperationSnapshot ToSnapshot(NbdOperation operation)
    {
        Span<long> row = cells.AsSpan((int)operation * Stride, Stride);
        long[] buckets = row[..Buckets].ToArray();
        TimeSpan total = TimeSpan.FromSeconds((double)row[Ticks] / Stopwatch.Frequency);
        return new(buckets.Sum(), row[Bytes], row[Errors], total, buckets);
    }
}
