using Colo.Blocks;

namespace Colo.Testing;

/// <summary>An overlay layer in memory: grains that it does not hold read as zeroes and are reported as holes.</summary>
public sealed class MemoryOverlay(long lengthBytes, int grainBytes = 4096) : IOverlayDevice
{
    private readonly SortedDictionary<long, byte[]> grains = [];

    public long LengthBytes => lengthBytes;

    public DeviceCapabilities Capabilities { get; init; } = new();

    public int GrainBytes => grainBytes;

    public bool IsDisposed { get; private set; }

    public int Writes { get; private set; }

    public long AllocatedBytes
    {
        get
        {
            lock (grains)
            {
                return (long)grains.Count * grainBytes;
            }
        }
    }

    /// <summary>As <see cref="MemoryDisk.Fault"/>; "empty" for MakeEmpty.</summary>
    public Func<string, long, BlockStatus>? Fault { get; set; }

    /// <summary>As <see cref="MemoryDisk.Gate"/>.</summary>
    public Func<string, long, Task>? Gate { get; set; }

    /// <summary>What a later process finds: the same grains, under a new object.</summary>
    public MemoryOverlay Reopen()
    {
        MemoryOverlay copy = new(lengthBytes, grainBytes);
        lock (grains)
        {
            foreach ((long grain, byte[] content) in grains)
            {
                copy.grains.Add(grain, [.. content]);
            }
        }

        return copy;
    }

    public ValueTask<BlockStatus> ReadAsync(long offsetBytes, Memory<byte> destination) =>
        RunAsync("read", new(offsetBytes, destination.Length), BlockStatus.InvalidArgument, (grain, within, at, length) =>
        {
            Span<byte> part = destination.Span.Slice(at, length);
            if (grains.TryGetValue(grain, out byte[]? content))
            {
                content.AsSpan(within, length).CopyTo(part);
            }
            else
            {
                part.Clear();
            }
        });

    public ValueTask<BlockStatus> WriteAsync(long offsetBytes, ReadOnlyMemory<byte> source, RequestFlags flags = RequestFlags.None) =>
        RunAsync("write", new(offsetBytes, source.Length), BlockStatus.NoSpace, (grain, within, at, length) =>
            source.Span.Slice(at, length).CopyTo(Held(grain).AsSpan(within)));

    public ValueTask<BlockStatus> WriteZeroesAsync(BlockRange range, RequestFlags flags = RequestFlags.None) =>
        RunAsync("zero", range, BlockStatus.NoSpace, (grain, within, _, length) => Held(grain).AsSpan(within, length).Clear());

    public ValueTask<BlockStatus> DiscardAsync(BlockRange range, RequestFlags flags = RequestFlags.None) => new(BlockStatus.Ok);

    public ValueTask<BlockStatus> FlushAsync() => RunAsync("flush", default, BlockStatus.InvalidArgument, (_, _, _, _) => { });

    public ValueTask<BlockStatus> MakeEmptyAsync()
    {
        BlockStatus status = Fault?.Invoke("empty", 0) ?? BlockStatus.Ok;
        lock (grains)
        {
            if (status == BlockStatus.Ok)
            {
                grains.Clear();
            }
        }

        return new(status);
    }

    public ValueTask<BlockStatus> GetExtentsAsync(BlockRange range, IList<BlockExtent> extents, int maxExtents = int.MaxValue)
    {
        lock (grains)
        {
            long offset = range.Offset;
            while (offset < range.End && extents.Count < maxExtents)
            {
                bool held = grains.ContainsKey(offset / grainBytes);
                long end = offset;
                while (end < range.End && grains.ContainsKey(end / grainBytes) == held)
                {
                    end = Math.Min(((end / grainBytes) + 1) * grainBytes, range.End);
                }

                extents.Add(new(BlockRange.FromTo(offset, end), held ? ExtentKind.Data : ExtentKind.Hole | ExtentKind.Zero));
                offset = end;
            }
        }

        return new(BlockStatus.Ok);
    }

    public ValueTask DisposeAsync()
    {
        IsDisposed = true;
        return ValueTask.CompletedTask;
    }

    private byte[] Held(long grain)
    {
        if (!grains.TryGetValue(grain, out byte[]? content))
        {
            content = new byte[grainBytes];
            grains.Add(grain, content);
        }

        return content;
    }

    private ValueTask<BlockStatus> RunAsync(string op, BlockRange range, BlockStatus pastEnd, Action<long, int, int, int> onPart)
    {
        if (range.End > lengthBytes)
        {
            return new(pastEnd);
        }

        return Gate?.Invoke(op, range.Offset) is { IsCompletedSuccessfully: false } gate ? WaitAsync(gate) : new(Apply());

        async ValueTask<BlockStatus> WaitAsync(Task waited)
        {
            await waited;
            return Apply();
        }

        BlockStatus Apply()
        {
            if (IsDisposed)
            {
                return BlockStatus.Shutdown;
            }

            BlockStatus status = Fault?.Invoke(op, range.Offset) ?? BlockStatus.Ok;
            if (status != BlockStatus.Ok)
            {
                return status;
            }

            lock (grains)
            {
                Writes += op is "write" or "zero" ? 1 : 0;
                for (long offset = range.Offset; offset < range.End;)
                {
                    int within = (int)(offset % grainBytes);
                    int length = (int)Math.Min(grainBytes - within, range.End - offset);
                    onPart(offset / grainBytes, within, (int)(offset - range.Offset), length);
                    offset += length;
                }
            }

            return BlockStatus.Ok;
        }
    }
}
