using Colo.Blocks;

namespace Colo.Qcow2;

/// <summary>
/// One qcow2 image, seen alone: what it does not hold is a hole, whatever its header says about a backing file (for the composed
/// view see <see cref="Qcow2Chain"/>). Owns its file.
/// </summary>
public sealed class Qcow2Image : IOverlayDevice
{
    private Qcow2Image() => throw new NotSupportedException();

    public long LengthBytes => throw new NotSupportedException();

    public DeviceCapabilities Capabilities => throw new NotSupportedException();

    public int GrainBytes => throw new NotSupportedException();

    public long AllocatedBytes => throw new NotSupportedException();

    /// <summary>What the header names below this layer; not opened by it.</summary>
    public Qcow2Backing? Backing => throw new NotSupportedException();

    /// <summary>Writes an empty image into an empty file and opens it for writing.</summary>
    public static ValueTask<Qcow2Image> CreateAsync(IImageFile file, Qcow2CreateOptions options) => throw new NotSupportedException();

    /// <summary>Opens an image; the file is disposed where that fails.</summary>
    /// <exception cref="Qcow2Exception">not an image that can be served; the message says why.</exception>
    public static ValueTask<Qcow2Image> OpenAsync(IImageFile file, Qcow2OpenOptions? options = null) => throw new NotSupportedException();

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

    public ValueTask<BlockStatus> MakeEmptyAsync() => throw new NotSupportedException();

    /// <summary>Grows the virtual disk; the new part is a hole.</summary>
    public ValueTask<BlockStatus> ResizeAsync(long lengthBytes) => throw new NotSupportedException();

    public ValueTask DisposeAsync() => throw new NotSupportedException();
}
