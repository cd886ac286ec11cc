using System.Runtime.CompilerServices;
using Colo.Blocks;

namespace Colo.Replication;

/// <summary>
/// A write or flush that has to wait: for the gate, for the state, or for an overlapping one in flight. Also the way of all zeroes.
/// </summary>
internal sealed class SlowWrite(Quorum quorum, AloneWrite alone, RequestGate gate, RangeLock inFlight, ServeSwitch serve, WriteTracking? tracking)
{
    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    public async ValueTask<BlockStatus> RunAsync(RequestKind kind, BlockRange range, ReadOnlyMemory<byte> source, RequestFlags flags)
    {
        while (true)
        {
            await gate.EnterAsync();
            Task changed = serve.Changed;
            switch (serve.State)
            {
                case ServeState.Fenced or ServeState.Closed:
                    gate.Exit();
                    return BlockStatus.Shutdown;
                case ServeState.Alone:
                    return await (kind switch
                    {
                        RequestKind.Write => alone.WriteAsync(range.Offset, source, flags),
                        RequestKind.Zero => alone.WriteZeroesAsync(range, flags),
                        _ => alone.FlushAsync(),
                    });
                case ServeState.Replicating when kind == RequestKind.Flush:
                    return await quorum.Flush();
                case ServeState.Replicating:
                    RangeLock.Held held = await inFlight.AcquireAsync(range);
                    bool isHot = tracking is null || tracking.TryTouch(range);
                    if (isHot && serve.State == ServeState.Replicating)
                    {
                        return await (kind == RequestKind.Write
                            ? quorum.Write(held, range.Offset, source, flags)
                            : quorum.Zero(held, range, flags));
                    }

                    held.Dispose();
                    gate.Exit();
                    if (!isHot && await tracking!.ActivateAsync(range) is var noted && noted != BlockStatus.Ok)
                    {
                        return noted;
                    }

                    continue;
                default:
                    gate.Exit();
                    await changed;
                    continue;
            }
        }
    }
}
