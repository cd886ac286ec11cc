using Colo.Blocks;

namespace Colo.Qcow2;

/// <summary>
/// An image over its backing device, as a guest sees it: what the image does not hold is read from below (zeroes past the end of
/// the backing device); writes go to the image, with the rest of a partly written grain copied up. Owns both.
/// </summary>
public sealed class Qcow2Chain : IBlockDevice
{
    private Qcow2Chain() => throw new NotSupportedException();

    public Qcow2Image Top => throw new NotSupportedException();

    public IBlockDevice? BackingDevice => throw new NotSupportedException();

    public long LengthBytes => throw new NotSupportedException();

    public DeviceCapabilities Capabilities => throw new NotSupportedException();

    public static Qcow2Chain Compose(Qcow2Image top, IBlockDevice? backing) => throw new NotSupportedException();

    /// <summary>Opens an image file and everything that it names below itself.</summary>
    public static ValueTask<Qcow2Chain> OpenAsync(string path, Qcow2OpenOptions? options = null) => throw new NotSupportedException();

    public ValueTask<BlockStatus> ReadAsync(long offsetBytes, Memory<byte> destination) => throw new NotSupportedException();

    public ValueTask<BlockStatus> WriteAsync(long offsetBytes, ReadOnlyMemory<byte> source, RequestFlags flags = RequestFlags.None) =>
        throw new NotSupportedException();

    public ValueTask<BlockStatus> WriteZeroesAsync(BlockRange range, RequestFlags flags = RequestFlags.None) =>
        throw new NotSupportedException();

    public ValueTask<BlockStatus> DiscardAsync(BlockRange range, RequestFlags flags = RequestFlags.None) =>
        throw new NotSupportedException();

    public ValueTask<BlockStatus> FlushAsync() => throw new NotSupportedException();

    public ValueTask<BlockStatus> GetExtentsAsync(BlockRange range, IList<BlockExtent> extents, int maxExtents = int.MaxValue) =>
        throw new NotSupportedException();

    /// <summary>Writes what the image holds into the backing device, flushes it, and empties the image.</summary>
    public ValueTask<BlockStatus> CommitAsync() => throw new NotSupportedException();

    public ValueTask DisposeAsync() => throw new NotSupportedException();
}
