namespace Colo.Blocks;

/// <summary>
/// A device that hands each request to another as it is, for those that add something beside the requests. Adds nothing to a request:
/// the answer is the other device's own task. Disposing it disposes the other, unless a subclass says otherwise.
/// </summary>
public abstract class ForwardingBlockDevice(IBlockDevice inner) : IBlockDevice
{
    public long LengthBytes => inner.LengthBytes;

    public DeviceCapabilities Capabilities => inner.Capabilities;

    public ValueTask<BlockStatus> ReadAsync(long offsetBytes, Memory<byte> destination) => inner.ReadAsync(offsetBytes, destination);

    public ValueTask<BlockStatus> WriteAsync(long offsetBytes, ReadOnlyMemory<byte> source, RequestFlags flags = RequestFlags.None) =>
        inner.WriteAsync(offsetBytes, source, flags);

    public ValueTask<BlockStatus> WriteZeroesAsync(BlockRange range, RequestFlags flags = RequestFlags.None) =>
        inner.WriteZeroesAsync(range, flags);

    public ValueTask<BlockStatus> DiscardAsync(BlockRange range, RequestFlags flags = RequestFlags.None) => inner.DiscardAsync(range, flags);

    public ValueTask<BlockStatus> FlushAsync() => inner.FlushAsync();

    public ValueTask<BlockStatus> GetExtentsAsync(BlockRange range, IList<BlockExtent> extents, int maxExtents = int.MaxValue) =>
        inner.GetExtentsAsync(range, extents, maxExtents);

    public virtual ValueTask DisposeAsync()
    {
        GC.SuppressFinalize(this);
        return inner.DisposeAsync();
    }
}
