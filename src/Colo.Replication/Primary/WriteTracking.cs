using Colo.Blocks;

namespace Colo.Replication;

/// <summary>
/// What a primary notes of a write before it happens: its extents are hot, and while it is alone its grains are marked. Both are a look
/// into memory for a write to where writes went before; the rest waits here.
/// </summary>
internal sealed class WriteTracking(
    TimeSpan forwardTimeout,
    ReplicaLineage lineage,
    Quorum quorum,
    RangeLock inFlight,
    Divergence divergence,
    ServeSwitch serve,
    ErrorLatch errors,
    TimeProvider time) : IActivityOwner
{
    /// <summary>A larger request (of zeroes) goes in pieces of it: each must fit into the log beside all others.</summary>
    public const long MaxRequestBytes = 64L * ActivityLog.ExtentBytes;

    /// <summary>An extent that nobody wrote to for so long, or up to twice as long, becomes cold.</summary>
    private static readonly TimeSpan CoolEvery = TimeSpan.FromSeconds(10);

    /// <summary>Until writes in flight end and make room, where every extent has some.</summary>
    private static readonly TimeSpan RoomRetry = TimeSpan.FromMilliseconds(5);

    /// <summary>The forward that failed while extents were made cold; the owner of the link hears of it.</summary>
    public Action<string, BlockStatus>? ForwardFailed { get; set; }

    /// <summary>With the range in flight. False: let go of it, and <see cref="ActivateAsync"/> first.</summary>
    public bool TryTouch(BlockRange range) => lineage.Activity.TryTouch(range);

    /// <summary>Alone: false where it has to wait (<see cref="MarkAsync"/>). Marked first: an extent that is still hot after that is not
    /// made cold without the mark.</summary>
    public bool TryMark(BlockRange range) => !lineage.IsTracking || (lineage.TryMark(range) && lineage.Activity.TryTouch(range));

    public async ValueTask<BlockStatus> MarkAsync(BlockRange range)
    {
        while (lineage.IsTracking)
        {
            if (!lineage.TryMark(range))
            {
                return Failed(range, "its mark cannot be stored");
            }

            if (lineage.Activity.TryTouch(range))
            {
                break;
            }

            BlockStatus status = await ActivateAsync(range);
            if (status != BlockStatus.Ok)
            {
                return status;
            }
        }

        return BlockStatus.Ok;
    }

    /// <summary>Makes the extents hot, or has waited for room: look again.</summary>
    public async ValueTask<BlockStatus> ActivateAsync(BlockRange range)
    {
        try
        {
            if (!await lineage.Activity.ActivateAsync(range, this))
            {
                await Task.Delay(RoomRetry, time);
            }

            return BlockStatus.Ok;
        }
        catch (IOException e)
        {
            return Failed(range, e.Message);
        }
    }

    public async ValueTask<IReadOnlyCollection<int>> SettleAsync(IReadOnlyCollection<int> extents)
    {
        switch (serve.State)
        {
            case ServeState.Alone when lineage.IsTracking:
                await lineage.SyncMarksAsync();
                return extents;
            case ServeState.Replicating when quorum.Remote is { } remote:
                return await SettleOnBothAsync(extents, remote);
            default:
                return [];
        }
    }

    /// <summary>Idle extents become cold, until the token ends it.</summary>
    public async Task CoolAsync(CancellationToken token)
    {
        using PeriodicTimer timer = new(CoolEvery, time);
        try
        {
            while (await timer.WaitForNextTickAsync(token))
            {
                try
                {
                    await lineage.Activity.CoolAsync(this);
                }
                catch (IOException)
                {
                    // They stay hot: a crash costs a little more.
                }
            }
        }
        catch (OperationCanceledException)
        {
            // Disposed.
        }
    }

    /// <summary>Nothing in flight, nothing that only the secondary holds, and flushed on both sides after that.</summary>
    private async ValueTask<IReadOnlyCollection<int>> SettleOnBothAsync(IReadOnlyCollection<int> extents, IReplicationLink remote)
    {
        List<BlockRange> held = [];
        inFlight.CopyTo(held);
        held.AddRange(divergence.LocalFailed?.SetRanges() ?? []);
        HashSet<int> idle = [.. extents];
        foreach (BlockRange range in held.Where(range => !range.IsEmpty))
        {
            for (long extent = range.Offset / ActivityLog.ExtentBytes; extent <= (range.End - 1) / ActivityLog.ExtentBytes; extent++)
            {
                idle.Remove((int)extent);
            }
        }

        if (idle.Count == 0)
        {
            return idle;
        }

        Task<BlockStatus> there = FlushAsync(remote);
        BlockStatus here = await quorum.Local.FlushAsync();
        BlockStatus answered = await there;
        if (answered != BlockStatus.Ok)
        {
            ForwardFailed?.Invoke($"a flush before extents become cold was answered {answered}", answered);
        }

        return here == BlockStatus.Ok && answered == BlockStatus.Ok && serve.State == ServeState.Replicating ? idle : [];
    }

    /// <summary>Bounded here: the watchdog knows only the guest's forwards, and these may be waiting for this very flush.</summary>
    private async Task<BlockStatus> FlushAsync(IReplicationLink remote)
    {
        try
        {
            return await remote.FlushAsync().AsTask().WaitAsync(forwardTimeout, time);
        }
        catch (TimeoutException)
        {
            return BlockStatus.IoError;
        }
    }

    private BlockStatus Failed(BlockRange range, string why)
    {
        errors.Report(ReplicationError.PrimaryDisk, BlockStatus.IoError, $"a write at {range} cannot be noted before it happens: {why}");
        return BlockStatus.IoError;
    }
}
