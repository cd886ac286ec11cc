using System.Runtime.CompilerServices;
using Colo.Blocks;

namespace Colo.Replication;

/// <summary>
/// The secondary disk as one primary of one term writes to it: at once, after the old content of each grain was saved. Refuses with
/// Shutdown before Start, once a higher term was seen, and once promoted. Disposing it ends this access, not the replica.
/// </summary>
public sealed class ReplicationTarget : IBlockDevice
{
    private readonly SecondaryReplica replica;
    private readonly SecondaryStack stack;
    private volatile bool isClosed;

    internal ReplicationTarget(SecondaryReplica replica, SecondaryStack stack, Term term)
    {
        this.replica = replica;
        this.stack = stack;
        Term = term;
    }

    public Term Term { get; }

    public long LengthBytes => stack.Disk.LengthBytes;

    public DeviceCapabilities Capabilities => stack.Disk.Capabilities;

    /// <summary>Why the last checkpoint of this target failed, for people; null where none did.</summary>
    public string? CheckpointFailure { get; private set; }

    /// <summary>The checkpoint in the order of this connection's requests (<see cref="IReplicationLink.CarriesCheckpoints"/>): every
    /// write called before it belongs to the epoch that it closes.</summary>
    public async ValueTask<BlockStatus> CheckpointAsync()
    {
        try
        {
            await replica.CheckpointAsync(Term);
            CheckpointFailure = null;
            return BlockStatus.Ok;
        }
        catch (ReplicationException e)
        {
            CheckpointFailure = e.Message;
            return e.Fault is ReplicationFault.StaleTerm or ReplicationFault.Superseded ? BlockStatus.Shutdown : BlockStatus.IoError;
        }
    }

    /// <summary>The newest content: what the primary falls back to where its own disk fails.</summary>
    public ValueTask<BlockStatus> ReadAsync(long offsetBytes, Memory<byte> destination) =>
        MayForward ? stack.Disk.ReadAsync(offsetBytes, destination) : new(BlockStatus.Shutdown);

    public ValueTask<BlockStatus> WriteAsync(long offsetBytes, ReadOnlyMemory<byte> source, RequestFlags flags = RequestFlags.None)
    {
        BlockStatus refused = this.CheckWrite(offsetBytes, source.Length);
        if (refused != BlockStatus.Ok)
        {
            return new(refused);
        }

        BlockRange range = new(offsetBytes, source.Length);
        if (!stack.Gate.TryEnter())
        {
            return SlowAsync(entered: false, zeroes: false, range, source, flags);
        }

        if (!MayForward || NeedsCopy(range) || stack.IsUnannounced)
        {
            return SlowAsync(entered: true, zeroes: false, range, source, flags);
        }

        ValueTask<BlockStatus> write = stack.Disk.WriteAsync(offsetBytes, source, flags);
        if (!write.IsCompletedSuccessfully)
        {
            return FinishAsync(write, range);
        }

        stack.Gate.Exit();
        BlockStatus status = write.Result;
        return new(status == BlockStatus.Ok ? status : Failed(range, status));
    }

    public ValueTask<BlockStatus> WriteZeroesAsync(BlockRange range, RequestFlags flags = RequestFlags.None)
    {
        BlockStatus refused = this.CheckWrite(range.Offset, range.Length);
        if (refused != BlockStatus.Ok || ((flags & RequestFlags.FastOnly) != 0 && !Capabilities.CanZeroFast))
        {
            return new(refused == BlockStatus.Ok ? BlockStatus.NotSupported : refused);
        }

        return SlowAsync(stack.Gate.TryEnter(), zeroes: true, range, default, flags & ~RequestFlags.FastOnly);
    }

    /// <summary>As zeroes: a primary of ours never sends it, and any other must find both replicas equal all the same.</summary>
    public ValueTask<BlockStatus> DiscardAsync(BlockRange range, RequestFlags flags = RequestFlags.None)
    {
        BlockStatus refused = this.CheckDiscard(range.Offset, range.Length);
        return refused != BlockStatus.Ok || !Capabilities.CanZeroFast
            ? new(refused)
            : WriteZeroesAsync(range, flags | RequestFlags.MayUnmap);
    }

    public async ValueTask<BlockStatus> FlushAsync()
    {
        if (!MayForward)
        {
            return BlockStatus.Shutdown;
        }

        BlockStatus status = await stack.Disk.FlushAsync();
        return status == BlockStatus.Ok
            ? MayForward ? status : BlockStatus.Shutdown
            : stack.ForwardFailed(ReplicationError.SecondaryDisk, status, $"a flush of the secondary disk: {status}");
    }

    public ValueTask<BlockStatus> GetExtentsAsync(BlockRange range, IList<BlockExtent> extents, int maxExtents = int.MaxValue) =>
        MayForward ? stack.Disk.GetExtentsAsync(range, extents, maxExtents) : new(BlockStatus.Shutdown);

    public ValueTask DisposeAsync()
    {
        isClosed = true;
        return ValueTask.CompletedTask;
    }

    private bool MayForward => stack.Serve == SecondaryServe.Replicating && stack.Terms.IsCurrent(Term) && !isClosed;

    private bool NeedsCopy(BlockRange range) => stack.HasView && !stack.Buffers!.Copied.IsAllSet(range);

    private BlockStatus Failed(BlockRange range, BlockStatus status) =>
        stack.ForwardFailed(ReplicationError.SecondaryDisk, status, $"a forwarded write at {range} on the secondary disk: {status}");

    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    private async ValueTask<BlockStatus> FinishAsync(ValueTask<BlockStatus> write, BlockRange range)
    {
        BlockStatus status = await write;
        stack.Gate.Exit();
        return status == BlockStatus.Ok ? status : Failed(range, status);
    }

    /// <summary>A first touch, a closed gate, or zeroes. Completes at once where all that it needs is at hand.</summary>
    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    private async ValueTask<BlockStatus> SlowAsync(
        bool entered, bool zeroes, BlockRange range, ReadOnlyMemory<byte> source, RequestFlags flags)
    {
        while (true)
        {
            if (!entered)
            {
                await stack.Gate.EnterAsync();
            }

            if (!MayForward)
            {
                stack.Gate.Exit();
                return BlockStatus.Shutdown;
            }

            if (stack.IsUnannounced && !await replica.TryForgetLineageAsync())
            {
                stack.Gate.Exit();
                return stack.ForwardFailed(
                    ReplicationError.SecondaryDisk, BlockStatus.IoError, $"no write before the lineage is forgotten, which cannot be stored: {range}");
            }

            EpochBuffers buffers = stack.Buffers!;
            BlockStatus copied = NeedsCopy(range) ? await stack.CopyBeforeWrite.CopyAsync(buffers, range) : BlockStatus.Ok;
            if (copied == BlockStatus.Ok)
            {
                return await FinishAsync(
                    zeroes ? ZeroFallback.WriteZeroesAsync(stack.Disk, range, flags) : stack.Disk.WriteAsync(range.Offset, source, flags),
                    range);
            }

            // The write does not happen.
            stack.Gate.Exit();
            if (copied != BlockStatus.Overflow)
            {
                stack.CopyFailed();
                return copied;
            }

            if (stack.IsFilling)
            {
                // Being filled comes before being able to go back.
                if (await replica.TryGiveUpOlderAsync())
                {
                    entered = false;
                    continue;
                }

                return stack.ForwardFailed(
                    ReplicationError.Backup, BlockStatus.NoSpace, $"the older content cannot be kept, nor given up: no room for {range}");
            }

            if (!await stack.WaitForRoomAsync(buffers))
            {
                return stack.ForwardFailed(
                    ReplicationError.Backup, BlockStatus.NoSpace, $"the buffer is full ({buffers.AllocatedBytes} bytes): no room for {range}");
            }

            entered = false;
        }
    }
}
