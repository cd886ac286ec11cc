using System.Runtime.CompilerServices;
using Colo.Blocks;

namespace Colo.Replication;

/// <summary>
/// Writes and flushes to the local disk alone. The caller has entered the gate and has found the state Alone; each leaves the gate. A write
/// is marked before it happens, so that the secondary gets it later whatever happens here.
/// </summary>
internal sealed class AloneWrite(
    IBlockDevice local, RequestGate gate, ServeSwitch serve, ErrorLatch errors, Divergence divergence, WriteTracking? tracking)
{
    public ValueTask<BlockStatus> WriteAsync(long offsetBytes, ReadOnlyMemory<byte> source, RequestFlags flags)
    {
        divergence.HasWrittenAlone = true;
        BlockRange range = new(offsetBytes, source.Length);
        return tracking is null || tracking.TryMark(range)
            ? Finish(local.WriteAsync(offsetBytes, source, flags))
            : MarkThenWriteAsync(range, source, flags);
    }

    public ValueTask<BlockStatus> WriteZeroesAsync(BlockRange range, RequestFlags flags)
    {
        divergence.HasWrittenAlone = true;
        return tracking is null || tracking.TryMark(range)
            ? Finish(ZeroFallback.WriteZeroesAsync(local, range, flags))
            : MarkThenZeroAsync(range, flags);
    }

    public ValueTask<BlockStatus> FlushAsync() => Finish(local.FlushAsync());

    private async ValueTask<BlockStatus> MarkThenWriteAsync(BlockRange range, ReadOnlyMemory<byte> source, RequestFlags flags)
    {
        BlockStatus marked = await tracking!.MarkAsync(range);
        return await Finish(marked == BlockStatus.Ok ? local.WriteAsync(range.Offset, source, flags) : new(marked));
    }

    private async ValueTask<BlockStatus> MarkThenZeroAsync(BlockRange range, RequestFlags flags)
    {
        BlockStatus marked = await tracking!.MarkAsync(range);
        return await Finish(marked == BlockStatus.Ok ? ZeroFallback.WriteZeroesAsync(local, range, flags) : new(marked));
    }

    private ValueTask<BlockStatus> Finish(ValueTask<BlockStatus> written)
    {
        if (!written.IsCompletedSuccessfully)
        {
            return FinishAsync(written);
        }

        gate.Exit();
        BlockStatus status = written.Result;
        return status == BlockStatus.Ok && serve.State == ServeState.Alone ? new(status) : new(Failed(status));
    }

    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    private async ValueTask<BlockStatus> FinishAsync(ValueTask<BlockStatus> written)
    {
        BlockStatus status = await written;
        gate.Exit();
        return status == BlockStatus.Ok && serve.State == ServeState.Alone ? status : Failed(status);
    }

    private BlockStatus Failed(BlockStatus status)
    {
        if (status != BlockStatus.Ok)
        {
            errors.Report(ReplicationError.PrimaryDisk, status, $"a write or flush on the primary disk: {status}");
        }

        return serve.IsOver ? BlockStatus.Shutdown : status;
    }
}
