using Colo.Blocks;
using Microsoft.Win32.SafeHandles;

namespace Colo.Conformance.Tests.ServerSide;

/// <summary>A plain file as a disk, by the base library alone; zeroes and discards write zero bytes.</summary>
internal sealed class RandomAccessDisk : IBlockDevice
{
    private static readonly byte[] Zeroes = new byte[1 << 20];

    private readonly SafeFileHandle file;

    public RandomAccessDisk(string path)
    {
        file = File.OpenHandle(path, FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite);
        LengthBytes = RandomAccess.GetLength(file);
    }

    public long LengthBytes { get; }

    public DeviceCapabilities Capabilities { get; } = new(CanZeroFast: false);

    public ValueTask<BlockStatus> ReadAsync(long offsetBytes, Memory<byte> destination)
    {
        int read = RandomAccess.Read(file, destination.Span, offsetBytes);
        return new(read == destination.Length ? BlockStatus.Ok : BlockStatus.IoError);
    }

    public ValueTask<BlockStatus> WriteAsync(long offsetBytes, ReadOnlyMemory<byte> source, RequestFlags flags = RequestFlags.None)
    {
        RandomAccess.Write(file, source.Span, offsetBytes);
        return flags.HasFlag(RequestFlags.ForceUnitAccess) ? FlushAsync() : new(BlockStatus.Ok);
    }

    public ValueTask<BlockStatus> WriteZeroesAsync(BlockRange range, RequestFlags flags = RequestFlags.None)
    {
        if (flags.HasFlag(RequestFlags.FastOnly))
        {
            return new(BlockStatus.NotSupported);
        }

        for (long at = range.Offset; at < range.End; at += Zeroes.Length)
        {
            RandomAccess.Write(file, Zeroes.AsSpan(0, (int)Math.Min(Zeroes.Length, range.End - at)), at);
        }

        return new(BlockStatus.Ok);
    }

    public ValueTask<BlockStatus> DiscardAsync(BlockRange range, RequestFlags flags = RequestFlags.None) => WriteZeroesAsync(range);

    public ValueTask<BlockStatus> FlushAsync()
    {
        RandomAccess.FlushToDisk(file);
        return new(BlockStatus.Ok);
    }

    public ValueTask<BlockStatus> GetExtentsAsync(BlockRange range, IList<BlockExtent> extents, int maxExtents = int.MaxValue)
    {
        extents.Add(new(range, ExtentKind.Data));
        return new(BlockStatus.Ok);
    }

    public ValueTask DisposeAsync()
    {
        file.Dispose();
        return ValueTask.CompletedTask;
    }
}
