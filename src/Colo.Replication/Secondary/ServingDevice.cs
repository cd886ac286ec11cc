using Colo.Blocks;

namespace Colo.Replication;

/// <summary>
/// The promoted disk: refuses with Shutdown until Stop(failover), serves from then on; while the buffer is committed from both, then from
/// the secondary disk alone, without a seam. Disposing it does nothing.
/// </summary>
internal sealed class ServingDevice(SecondaryStack stack) : IBlockDevice
{
    public long LengthBytes => stack.Disk.LengthBytes;

    public DeviceCapabilities Capabilities => stack.Disk.Capabilities;

    public ValueTask<BlockStatus> ReadAsync(long offsetBytes, Memory<byte> destination)
    {
        if (stack.Serve == SecondaryServe.Promoted)
        {
            return stack.Disk.ReadAsync(offsetBytes, destination);
        }

        BlockStatus refused = this.CheckRead(offsetBytes, destination.Length);
        return refused == BlockStatus.Ok ? SlowAsync() : new(refused);

        async ValueTask<BlockStatus> SlowAsync()
        {
            await stack.Gate.EnterAsync();
            BlockStatus status = stack.Serve switch
            {
                SecondaryServe.Committing => await stack.Commit!.ReadAsync(offsetBytes, destination),
                SecondaryServe.Promoted => await stack.Disk.ReadAsync(offsetBytes, destination),
                _ => BlockStatus.Shutdown,
            };
            stack.Gate.Exit();
            return status;
        }
    }

    public ValueTask<BlockStatus> WriteAsync(long offsetBytes, ReadOnlyMemory<byte> source, RequestFlags flags = RequestFlags.None)
    {
        if (stack.Serve == SecondaryServe.Promoted)
        {
            return stack.Disk.WriteAsync(offsetBytes, source, flags);
        }

        BlockStatus refused = this.CheckWrite(offsetBytes, source.Length);
        return refused == BlockStatus.Ok ? SlowAsync() : new(refused);

        async ValueTask<BlockStatus> SlowAsync()
        {
            await stack.Gate.EnterAsync();
            BlockStatus status = stack.Serve switch
            {
                SecondaryServe.Committing =>
                    await stack.Commit!.WriteAsync(new(offsetBytes, source.Length), source, flags, zeroes: false),
                SecondaryServe.Promoted => await stack.Disk.WriteAsync(offsetBytes, source, flags),
                _ => BlockStatus.Shutdown,
            };
            stack.Gate.Exit();
            return status;
        }
    }

    public async ValueTask<BlockStatus> WriteZeroesAsync(BlockRange range, RequestFlags flags = RequestFlags.None)
    {
        BlockStatus status = this.CheckWrite(range.Offset, range.Length);
        if (status != BlockStatus.Ok)
        {
            return status;
        }

        await stack.Gate.EnterAsync();
        status = stack.Serve switch
        {
            SecondaryServe.Committing when (flags & RequestFlags.FastOnly) != 0 => BlockStatus.NotSupported,
            SecondaryServe.Committing => await stack.Commit!.WriteAsync(range, default, flags, zeroes: true),
            SecondaryServe.Promoted => await stack.Disk.WriteZeroesAsync(range, flags),
            _ => BlockStatus.Shutdown,
        };
        stack.Gate.Exit();
        return status;
    }

    public async ValueTask<BlockStatus> DiscardAsync(BlockRange range, RequestFlags flags = RequestFlags.None)
    {
        BlockStatus status = this.CheckDiscard(range.Offset, range.Length);
        if (status != BlockStatus.Ok)
        {
            return status;
        }

        await stack.Gate.EnterAsync();
        status = stack.Serve switch
        {
            SecondaryServe.Committing => BlockStatus.Ok,
            SecondaryServe.Promoted => await stack.Disk.DiscardAsync(range, flags),
            _ => BlockStatus.Shutdown,
        };
        stack.Gate.Exit();
        return status;
    }

    public async ValueTask<BlockStatus> FlushAsync()
    {
        await stack.Gate.EnterAsync();
        BlockStatus status = stack.Serve switch
        {
            SecondaryServe.Committing => await stack.Commit!.FlushAsync(),
            SecondaryServe.Promoted => await stack.Disk.FlushAsync(),
            _ => BlockStatus.Shutdown,
        };
        stack.Gate.Exit();
        return status;
    }

    public ValueTask<BlockStatus> GetExtentsAsync(BlockRange range, IList<BlockExtent> extents, int maxExtents = int.MaxValue)
    {
        if (stack.Serve == SecondaryServe.Promoted)
        {
            return stack.Disk.GetExtentsAsync(range, extents, maxExtents);
        }

        BlockStatus refused = stack.Serve == SecondaryServe.Committing ? this.CheckRead(range.Offset, range.Length) : BlockStatus.Shutdown;
        if (refused == BlockStatus.Ok)
        {
            extents.Add(new(range, ExtentKind.Data));
        }

        return new(refused);
    }

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;
}
