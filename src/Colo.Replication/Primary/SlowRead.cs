using Colo.Blocks;

namespace Colo.Replication;

/// <summary>
/// A read that the local disk cannot simply answer: it waits for the state, makes both replicas equal first, or asks the secondary.
/// What a guest has read once is what a failover would show it.
/// </summary>
internal sealed class SlowRead(
    Quorum quorum, ServeSwitch serve, ErrorLatch errors, Divergence divergence, Resync resync, AttachedSecondary secondary)
{
    public async ValueTask<BlockStatus> RunAsync(long offsetBytes, Memory<byte> destination)
    {
        IBlockDevice local = quorum.Local;
        BlockRange range = new(offsetBytes, destination.Length);
        while (true)
        {
            Task changed = serve.Changed;
            ServeState state = serve.State;
            if (state is ServeState.Fenced or ServeState.Closed)
            {
                return BlockStatus.Shutdown;
            }

            if (state is ServeState.Confirming or ServeState.Waiting)
            {
                await changed;
                continue;
            }

            if (state != ServeState.Alone && divergence.Unsure is { } unsure && unsure.IsAnySet(range))
            {
                // What a guest has read once must not change by a failover: both replicas get the same bytes first.
                if (state != ServeState.Replicating || !await resync.SettleAsync(range.ExpandTo(unsure.GrainBytes, local.LengthBytes)))
                {
                    await changed;
                }

                continue;
            }

            if (state == ServeState.Replicating
                && divergence.LocalFailed is { } bitmap
                && bitmap.IsAnySet(range)
                && quorum.Remote is { } remote
                && await remote.ReadAsync(offsetBytes, destination) == BlockStatus.Ok)
            {
                return BlockStatus.Ok;
            }

            BlockStatus status = await local.ReadAsync(offsetBytes, destination);
            return status == BlockStatus.Ok ? status : await ReadRemoteAsync(status, offsetBytes, destination);
        }
    }

    /// <summary>Fifo: the second child is asked where the first has failed, and only while it holds everything.</summary>
    public async ValueTask<BlockStatus> ReadRemoteAsync(BlockStatus localStatus, long offsetBytes, Memory<byte> destination)
    {
        errors.Report(
            ReplicationError.PrimaryDisk,
            localStatus,
            $"a read of {destination.Length} bytes at {offsetBytes} of the primary disk: {localStatus}");
        return serve.State == ServeState.Replicating
            && secondary.IsReadable
            && quorum.Remote is { } remote
            && await remote.ReadAsync(offsetBytes, destination) == BlockStatus.Ok
            ? BlockStatus.Ok
            : localStatus;
    }

    /// <summary>The caller has checked the range.</summary>
    public async ValueTask<BlockStatus> GetExtentsAsync(BlockRange range, IList<BlockExtent> extents, int maxExtents)
    {
        while (true)
        {
            Task changed = serve.Changed;
            switch (serve.State)
            {
                case ServeState.Fenced or ServeState.Closed:
                    return BlockStatus.Shutdown;
                case ServeState.Confirming or ServeState.Waiting:
                    await changed;
                    continue;
            }

            if (divergence.Unsure is null && divergence.LocalFailed is null)
            {
                return await quorum.Local.GetExtentsAsync(range, extents, maxExtents);
            }

            // "Reads as zeroes" would be a read of what may still change; data may be anything.
            extents.Add(new(range, ExtentKind.Data));
            return BlockStatus.Ok;
        }
    }
}
