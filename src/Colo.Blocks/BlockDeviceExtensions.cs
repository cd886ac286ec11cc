namespace Colo.Blocks;

/// <summary>What callers of a device write again and again: the contract's checks, and calls that throw for set-up code.</summary>
public static class BlockDeviceExtensions
{
    /// <summary>True where every byte is zero; reads a vector at a time and stops at the first that is not.</summary>
    public static bool IsAllZero(this ReadOnlySpan<byte> bytes) => !bytes.ContainsAnyExcept((byte)0);

    public static bool IsAllZero(this Span<byte> bytes) => IsAllZero((ReadOnlySpan<byte>)bytes);

    /// <summary>How the contract refuses a read, discard or status query; Ok where it is well-formed.</summary>
    public static BlockStatus CheckRead(this IBlockDevice device, long offsetBytes, long lengthBytes) =>
        Check(device, offsetBytes, lengthBytes, BlockStatus.InvalidArgument);

    /// <summary>How the contract refuses a write or write-zeroes; Ok where it is well-formed.</summary>
    public static BlockStatus CheckWrite(this IBlockDevice device, long offsetBytes, long lengthBytes) =>
        device.Capabilities.IsReadOnly ? BlockStatus.NotPermitted : Check(device, offsetBytes, lengthBytes, BlockStatus.NoSpace);

    /// <summary>How the contract refuses a discard; Ok where it is well-formed.</summary>
    public static BlockStatus CheckDiscard(this IBlockDevice device, long offsetBytes, long lengthBytes) =>
        device.Capabilities.IsReadOnly
            ? BlockStatus.NotPermitted
            : Check(device, offsetBytes, lengthBytes, BlockStatus.InvalidArgument);

    /// <summary>Fills <paramref name="destination"/> or throws. For set-up and tests; the I/O path looks at the status.</summary>
    /// <exception cref="BlockIoException"/>
    public static async Task ReadExactlyAsync(this IBlockDevice device, long offsetBytes, Memory<byte> destination) =>
        ThrowIfFailed(await device.ReadAsync(offsetBytes, destination), "read", new(offsetBytes, destination.Length));

    /// <exception cref="BlockIoException"/>
    public static async Task WriteExactlyAsync(
        this IBlockDevice device, long offsetBytes, ReadOnlyMemory<byte> source, RequestFlags flags = RequestFlags.None) =>
        ThrowIfFailed(await device.WriteAsync(offsetBytes, source, flags), "write", new(offsetBytes, source.Length));

    /// <exception cref="BlockIoException"/>
    public static async Task FlushOrThrowAsync(this IBlockDevice device) =>
        ThrowIfFailed(await device.FlushAsync(), "flush", new(0, device.LengthBytes));

    private static void ThrowIfFailed(BlockStatus status, string request, BlockRange range)
    {
        if (status != BlockStatus.Ok)
        {
            throw new BlockIoException(status, request, range);
        }
    }

    private static BlockStatus Check(IBlockDevice device, long offsetBytes, long lengthBytes, BlockStatus pastEnd)
    {
        long mask = device.Capabilities.MinimumBlockBytes - 1;
        if (offsetBytes < 0 || lengthBytes < 0)
        {
            return BlockStatus.InvalidArgument;
        }

        if (lengthBytes > device.LengthBytes - offsetBytes)
        {
            return pastEnd;
        }

        return ((offsetBytes | lengthBytes) & mask) == 0 ? BlockStatus.Ok : BlockStatus.InvalidArgument;
    }
}
