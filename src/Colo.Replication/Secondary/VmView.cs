using Colo.Blocks;

namespace Colo.Replication;

/// <summary>
/// The secondary VM's disk. A request sees one epoch, whole: a checkpoint waits for it, and it for a checkpoint. Refuses with Shutdown while
/// there is no view: before Start, while the disk is being filled, after a promotion. Disposing it does nothing.
/// </summary>
internal sealed class VmView(SecondaryStack stack, ErrorLatch errors) : IBlockDevice
{
    public long LengthBytes => stack.Disk.LengthBytes;

    public DeviceCapabilities Capabilities { get; } = stack.Disk.Capabilities with { CanDiscard = false, FlushCoversAll = true };

    public async ValueTask<BlockStatus> ReadAsync(long offsetBytes, Memory<byte> destination)
    {
        BlockStatus status = this.CheckRead(offsetBytes, destination.Length);
        if (status != BlockStatus.Ok)
        {
            return status;
        }

        await stack.Gate.EnterAsync();
        status = HasView ? await stack.View.ReadAsync(stack.Buffers!, offsetBytes, destination) : BlockStatus.Shutdown;
        stack.Gate.Exit();
        return status;
    }

    public ValueTask<BlockStatus> WriteAsync(long offsetBytes, ReadOnlyMemory<byte> source, RequestFlags flags = RequestFlags.None)
    {
        BlockStatus refused = this.CheckWrite(offsetBytes, source.Length);
        return refused == BlockStatus.Ok ? WriteAsync(new(offsetBytes, source.Length), source, flags, zeroes: false) : new(refused);
    }

    public ValueTask<BlockStatus> WriteZeroesAsync(BlockRange range, RequestFlags flags = RequestFlags.None)
    {
        BlockStatus refused = this.CheckWrite(range.Offset, range.Length);
        return refused == BlockStatus.Ok ? WriteAsync(range, default, flags, zeroes: true) : new(refused);
    }

    public ValueTask<BlockStatus> DiscardAsync(BlockRange range, RequestFlags flags = RequestFlags.None) =>
        new(this.CheckDiscard(range.Offset, range.Length));

    /// <summary>The buffers are dropped with the machine, so there is nothing to make durable.</summary>
    public ValueTask<BlockStatus> FlushAsync() => new(HasView ? BlockStatus.Ok : BlockStatus.Shutdown);

    public ValueTask<BlockStatus> GetExtentsAsync(BlockRange range, IList<BlockExtent> extents, int maxExtents = int.MaxValue)
    {
        BlockStatus status = this.CheckRead(range.Offset, range.Length);
        if (status == BlockStatus.Ok)
        {
            extents.Add(new(range, ExtentKind.Data));
        }

        return new(status);
    }

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;

    private bool HasView => stack.Serve == SecondaryServe.Replicating && stack.HasView;

    private async ValueTask<BlockStatus> WriteAsync(BlockRange range, ReadOnlyMemory<byte> source, RequestFlags flags, bool zeroes)
    {
        while (true)
        {
            await stack.Gate.EnterAsync();
            EpochBuffers? buffers = stack.Buffers;
            if (!HasView || buffers is null)
            {
                stack.Gate.Exit();
                return BlockStatus.Shutdown;
            }

            if (zeroes || buffers.Written.IsAllSet(range) || stack.HasRoom(buffers, range.Length))
            {
                BlockStatus status = await stack.View.WriteAsync(buffers, range, source, flags, zeroes);
                stack.Gate.Exit();
                return status;
            }

            stack.Gate.Exit();
            if (!await stack.WaitForRoomAsync(buffers))
            {
                errors.Report(ReplicationError.ActiveDisk, BlockStatus.NoSpace, $"the buffer is full: no room for {range} in the active disk");
                return BlockStatus.NoSpace;
            }
        }
    }
}
