using System.Collections.Concurrent;
using Colo.Blocks;
using Colo.Testing;

namespace Colo.Nbd.Tests.Server;

/// <summary>What the server asked of the device.</summary>
internal sealed record DeviceCall(string Operation, long Offset, long Length, RequestFlags Flags);

/// <summary>A memory disk that remembers each call with its flags and answers extents from a list.</summary>
internal sealed class RecordingDisk(MemoryDisk inner) : IBlockDevice
{
    public RecordingDisk(long lengthBytes = 1 << 20, DeviceCapabilities? capabilities = null)
        : this(new MemoryDisk(lengthBytes) { Capabilities = capabilities ?? new() })
    {
    }

    public MemoryDisk Inner { get; } = inner;

    public ConcurrentQueue<DeviceCall> Calls { get; } = new();

    public List<BlockExtent> Extents { get; } = [];

    public long LengthBytes => Inner.LengthBytes;

    public DeviceCapabilities Capabilities => Inner.Capabilities;

    public ValueTask<BlockStatus> ReadAsync(long offsetBytes, Memory<byte> destination)
    {
        Calls.Enqueue(new("read", offsetBytes, destination.Length, RequestFlags.None));
        return Inner.ReadAsync(offsetBytes, destination);
    }

    public ValueTask<BlockStatus> WriteAsync(long offsetBytes, ReadOnlyMemory<byte> source, RequestFlags flags = RequestFlags.None)
    {
        Calls.Enqueue(new("write", offsetBytes, source.Length, flags));
        return Inner.WriteAsync(offsetBytes, source, flags);
    }

    public ValueTask<BlockStatus> WriteZeroesAsync(BlockRange range, RequestFlags flags = RequestFlags.None)
    {
        Calls.Enqueue(new("zero", range.Offset, range.Length, flags));
        return flags.HasFlag(RequestFlags.FastOnly) && !Capabilities.CanZeroFast
            ? new(BlockStatus.NotSupported)
            : Inner.WriteZeroesAsync(range, flags);
    }

    public ValueTask<BlockStatus> DiscardAsync(BlockRange range, RequestFlags flags = RequestFlags.None)
    {
        Calls.Enqueue(new("discard", range.Offset, range.Length, flags));
        return Inner.DiscardAsync(range, flags);
    }

    public ValueTask<BlockStatus> FlushAsync()
    {
        Calls.Enqueue(new("flush", 0, 0, RequestFlags.None));
        return Inner.FlushAsync();
    }

    public ValueTask<BlockStatus> GetExtentsAsync(BlockRange range, IList<BlockExtent> extents, int maxExtents = int.MaxValue)
    {
        Calls.Enqueue(new("status", range.Offset, range.Length, RequestFlags.None));
        if (Extents.Count == 0)
        {
            return Inner.GetExtentsAsync(range, extents, maxExtents);
        }

        foreach (BlockExtent extent in Extents.Where(extent => extent.Range.Overlaps(range)).Take(maxExtents))
        {
            long start = Math.Max(extent.Range.Offset, range.Offset);
            extents.Add(new(BlockRange.FromTo(start, Math.Min(extent.Range.End, range.End)), extent.Kind));
        }

        return new(BlockStatus.Ok);
    }

    public ValueTask DisposeAsync() => Inner.DisposeAsync();
}

/// <summary>A disk of any stated length that holds nothing: for lengths that no memory has.</summary>
internal sealed class VoidDisk(long lengthBytes) : IBlockDevice
{
    public ConcurrentQueue<DeviceCall> Calls { get; } = new();

    public long LengthBytes => lengthBytes;

    public DeviceCapabilities Capabilities { get; } = new();

    public ValueTask<BlockStatus> ReadAsync(long offsetBytes, Memory<byte> destination)
    {
        destination.Span.Clear();
        return new(BlockStatus.Ok);
    }

    public ValueTask<BlockStatus> WriteAsync(long offsetBytes, ReadOnlyMemory<byte> source, RequestFlags flags = RequestFlags.None) =>
        new(BlockStatus.Ok);

    public ValueTask<BlockStatus> WriteZeroesAsync(BlockRange range, RequestFlags flags = RequestFlags.None)
    {
        Calls.Enqueue(new("zero", range.Offset, range.Length, flags));
        return new(BlockStatus.Ok);
    }

    public ValueTask<BlockStatus> DiscardAsync(BlockRange range, RequestFlags flags = RequestFlags.None)
    {
        Calls.Enqueue(new("discard", range.Offset, range.Length, flags));
        return new(BlockStatus.Ok);
    }

    public ValueTask<BlockStatus> FlushAsync() => new(BlockStatus.Ok);

    public ValueTask<BlockStatus> GetExtentsAsync(BlockRange range, IList<BlockExtent> extents, int maxExtents = int.MaxValue)
    {
        extents.Add(new(range, ExtentKind.Hole | ExtentKind.Zero));
        return new(BlockStatus.Ok);
    }

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;
}
