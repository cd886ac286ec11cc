using Colo.Blocks;

namespace Colo.Qcow2.Chain;

/// <summary>A raw backing file as a device of fixed length.</summary>
internal sealed class RawDevice(IImageFile file) : IBlockDevice
{
    public long LengthBytes { get; } = file.LengthBytes;

    public DeviceCapabilities Capabilities { get; } = new(IsReadOnly: file.IsReadOnly, CanZeroFast: false);

    public ValueTask<BlockStatus> ReadAsync(long offsetBytes, Memory<byte> destination) =>
        Fits(offsetBytes, destination.Length) ? file.ReadAsync(offsetBytes, destination) : new(BlockStatus.InvalidArgument);

    public ValueTask<BlockStatus> WriteAsync(long offsetBytes, ReadOnlyMemory<byte> source, RequestFlags flags = RequestFlags.None)
    {
        BlockStatus refused = Refusal(offsetBytes, source.Length, BlockStatus.NoSpace);
        return refused == BlockStatus.Ok ? ThenFlushAsync(file.WriteAsync(offsetBytes, source), flags) : new(refused);
    }

    public ValueTask<BlockStatus> WriteZeroesAsync(BlockRange range, RequestFlags flags = RequestFlags.None)
    {
        BlockStatus refused = (flags & RequestFlags.FastOnly) != 0
            ? BlockStatus.NotSupported
            : Refusal(range.Offset, range.Length, BlockStatus.NoSpace);
        return refused == BlockStatus.Ok ? ThenFlushAsync(file.ZeroAsync(range), flags) : new(refused);
    }

    public ValueTask<BlockStatus> DiscardAsync(BlockRange range, RequestFlags flags = RequestFlags.None)
    {
        BlockStatus refused = Refusal(range.Offset, range.Length, BlockStatus.InvalidArgument);
        return refused == BlockStatus.Ok ? ThenFlushAsync(file.DiscardAsync(range), flags) : new(refused);
    }

    public ValueTask<BlockStatus> FlushAsync() => file.IsReadOnly ? new(BlockStatus.Ok) : file.FlushAsync();

    public ValueTask<BlockStatus> GetExtentsAsync(BlockRange range, IList<BlockExtent> extents, int maxExtents = int.MaxValue)
    {
        if (!Fits(range.Offset, range.Length))
        {
            return new(BlockStatus.InvalidArgument);
        }

        extents.Add(new(range, ExtentKind.Data));
        return new(BlockStatus.Ok);
    }

    public ValueTask DisposeAsync() => file.DisposeAsync();

    private bool Fits(long offset, long length) => offset >= 0 && length <= LengthBytes - offset;

    private BlockStatus Refusal(long offset, long length, BlockStatus pastEnd) =>
        !Fits(offset, length) ? pastEnd : file.IsReadOnly ? BlockStatus.NotPermitted : BlockStatus.Ok;

    private async ValueTask<BlockStatus> ThenFlushAsync(ValueTask<BlockStatus> done, RequestFlags flags)
    {
        BlockStatus status = await done;
        return status == BlockStatus.Ok && (flags & RequestFlags.ForceUnitAccess) != 0 ? await file.FlushAsync() : status;
    }
}
