using Colo.Blocks;

namespace Colo.Replication.Tests.Kit;

/// <summary>A link without a wire: calls go straight to the other side, pass its gate and faults, and end with Shutdown when it is disposed.</summary>
public sealed class LoopLink(IBlockDevice target, string peerNode) : IReplicationLink
{
    private readonly TaskCompletionSource closed = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource<string> lost = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public string PeerNode => peerNode;

    public bool CarriesCheckpoints { get; init; } = true;

    public bool CanZero { get; init; } = true;

    public bool IsClosed => closed.Task.IsCompleted;

    public Task<string> Lost => lost.Task;

    public string? CheckpointFailure => (target as ReplicationTarget)?.CheckpointFailure;

    public List<string> Log { get; } = [];

    /// <summary>Payload of writes and zeroes that were sent.</summary>
    public long SentBytes;

    /// <summary>Whose lineage is shown and told; null: one that keeps none.</summary>
    public SecondaryReplica? Peer { get; init; }

    /// <summary>Status of a request before it reaches the other side (op, offset).</summary>
    public Func<string, long, BlockStatus>? Fault { get; set; }

    /// <summary>On the way there.</summary>
    public Func<string, long, Task>? Gate { get; set; }

    /// <summary>On the way back.</summary>
    public Func<string, long, Task>? ReturnGate { get; set; }

    /// <summary>The drain-then-call way; otherwise the target's in-order checkpoint.</summary>
    public Func<long, ValueTask<BlockStatus>>? CheckpointCall { get; set; }

    public long LengthBytes { get; init; } = target.LengthBytes;

    public DeviceCapabilities Capabilities => target.Capabilities with { CanZeroFast = CanZero && target.Capabilities.CanZeroFast };

    public ValueTask<LineageReport?> ReadLineageAsync(CancellationToken token) => new(Peer?.ReportLineage());

    public ValueTask AnnounceAsync(LineageAnnouncement announcement, CancellationToken token)
    {
        lock (Log)
        {
            Log.Add("announce");
        }

        return Peer!.AnnounceAsync(announcement);
    }

    public void Break(string reason) => lost.TrySetResult(reason);

    public ValueTask<BlockStatus> ReadAsync(long offsetBytes, Memory<byte> destination) =>
        RunAsync("read", offsetBytes, () => target.ReadAsync(offsetBytes, destination));

    public ValueTask<BlockStatus> WriteAsync(long offsetBytes, ReadOnlyMemory<byte> source, RequestFlags flags = RequestFlags.None) =>
        RunAsync("write", offsetBytes, () => target.WriteAsync(offsetBytes, source, flags), source.Length);

    public ValueTask<BlockStatus> WriteZeroesAsync(BlockRange range, RequestFlags flags = RequestFlags.None) =>
        CanZero ? RunAsync("zero", range.Offset, () => target.WriteZeroesAsync(range, flags), range.Length) : new(BlockStatus.NotSupported);

    public ValueTask<BlockStatus> DiscardAsync(BlockRange range, RequestFlags flags = RequestFlags.None) =>
        RunAsync("discard", range.Offset, () => target.DiscardAsync(range, flags));

    public ValueTask<BlockStatus> FlushAsync() => RunAsync("flush", 0, target.FlushAsync);

    public ValueTask<BlockStatus> CheckpointAsync(long epoch) =>
        RunAsync("checkpoint", epoch, () => CheckpointCall?.Invoke(epoch) ?? ((ReplicationTarget)target).CheckpointAsync());

    public ValueTask<BlockStatus> GetExtentsAsync(BlockRange range, IList<BlockExtent> extents, int maxExtents = int.MaxValue) =>
        target.GetExtentsAsync(range, extents, maxExtents);

    public ValueTask DisposeAsync()
    {
        closed.TrySetResult();
        return ValueTask.CompletedTask;
    }

    private async ValueTask<BlockStatus> RunAsync(string op, long offset, Func<ValueTask<BlockStatus>> call, long payloadBytes = 0)
    {
        Interlocked.Add(ref SentBytes, payloadBytes);
        lock (Log)
        {
            Log.Add(op);
        }

        // A late answer after the link was closed must not count: whichever is first.
        Task<BlockStatus> there = GoAsync();
        return await Task.WhenAny(there, closed.Task) == there && !IsClosed ? await there : BlockStatus.Shutdown;

        async Task<BlockStatus> GoAsync()
        {
            if (IsClosed)
            {
                return BlockStatus.Shutdown;
            }

            if (Gate?.Invoke(op, offset) is { } gate)
            {
                await Task.WhenAny(gate, closed.Task);
            }

            if (IsClosed)
            {
                return BlockStatus.Shutdown;
            }

            BlockStatus status = Fault?.Invoke(op, offset) ?? BlockStatus.Ok;
            status = status == BlockStatus.Ok ? await call() : status;
            if (ReturnGate?.Invoke(op, offset) is { } back)
            {
                await Task.WhenAny(back, closed.Task);
            }

            return status;
        }
    }
}
