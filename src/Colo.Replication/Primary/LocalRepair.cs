using Colo.Blocks;

namespace Colo.Replication;

/// <summary>
/// Brings back to the local disk what only the secondary holds, as soon as it takes writes again. Until then the replicas differ, and what
/// the guest may have read would go with the secondary.
/// </summary>
internal sealed class LocalRepair(
    Quorum quorum, ServeSwitch serve, Divergence divergence, RangeLock inFlight, TimeProvider time, OwnedTasks tasks)
{
    private const int PieceBytes = 1 << 20;

    /// <summary>A disk that has just failed is not asked at once.</summary>
    private static readonly TimeSpan Interval = TimeSpan.FromSeconds(1);

    private int isRunning;

    /// <summary>Something was marked.</summary>
    public void Begin()
    {
        if (Interlocked.Exchange(ref isRunning, 1) == 0)
        {
            tasks.Own(RunAsync());
        }
    }

    private async Task RunAsync()
    {
        try
        {
            do
            {
                await Task.Delay(Interval, time, tasks.Closing);
            }
            while (!await TryAsync());
        }
        catch (OperationCanceledException)
        {
            // Disposed.
            return;
        }

        Volatile.Write(ref isRunning, 0);
        if (divergence.LocalFailed is { CountSet: > 0 })
        {
            // Marked since the last look.
            Begin();
        }
    }

    /// <summary>True where nothing is left to do.</summary>
    private async Task<bool> TryAsync()
    {
        if (divergence.LocalFailed is not { } failed)
        {
            return true;
        }

        foreach (BlockRange range in failed.SetRanges().ToList())
        {
            for (long offset = range.Offset; offset < range.End; offset += PieceBytes)
            {
                if (!await TryAsync(failed, BlockRange.FromTo(offset, Math.Min(offset + PieceBytes, range.End))))
                {
                    return divergence.LocalFailed is null;
                }
            }
        }

        return failed.CountSet == 0;
    }

    private async Task<bool> TryAsync(DirtyBitmap failed, BlockRange piece)
    {
        using PooledBuffer buffer = await BufferPool.Shared.RentAsync((int)piece.Length, tasks.Closing);
        using RangeLock.Held held = await inFlight.AcquireAsync(piece);
        if (!failed.IsAnySet(piece))
        {
            return true;
        }

        if (serve.State != ServeState.Replicating || quorum.Remote is not { } remote || divergence.LocalFailed != failed
            || await remote.ReadAsync(piece.Offset, buffer.Memory) != BlockStatus.Ok
            || await quorum.Local.WriteAsync(piece.Offset, buffer.Memory) != BlockStatus.Ok)
        {
            return false;
        }

        failed.Clear(piece);
        return true;
    }
}
