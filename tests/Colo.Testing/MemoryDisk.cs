using Colo.Blocks;

namespace Colo.Testing;

/// <summary>A disk in memory, byte-granular, that counts its requests and can be told to fail or to hold them.</summary>
public class MemoryDisk(long lengthBytes) : IBlockDevice
{
    private readonly byte[] content = new byte[lengthBytes];

    public long LengthBytes => content.Length;

    public DeviceCapabilities Capabilities { get; init; } = new();

    public Span<byte> Content => content;

    public int Reads { get; private set; }

    public int Writes { get; private set; }

    public int Flushes { get; private set; }

    /// <summary>When set, decides the status of each request before it takes effect (op, offset).</summary>
    public Func<string, long, BlockStatus>? Fault { get; set; }

    /// <summary>When set, each request waits for the returned task first.</summary>
    public Func<string, long, Task>? Gate { get; set; }

    public ValueTask<BlockStatus> ReadAsync(long offsetBytes, Memory<byte> destination) =>
        RunAsync("read", offsetBytes, destination.Length, BlockStatus.InvalidArgument, () =>
        {
            Reads++;
            content.AsSpan((int)offsetBytes, destination.Length).CopyTo(destination.Span);
        });

    public ValueTask<BlockStatus> WriteAsync(long offsetBytes, ReadOnlyMemory<byte> source, RequestFlags flags = RequestFlags.None) =>
        RunAsync("write", offsetBytes, source.Length, BlockStatus.NoSpace, () =>
        {
            Writes++;
            source.Span.CopyTo(content.AsSpan((int)offsetBytes));
        });

    public ValueTask<BlockStatus> WriteZeroesAsync(BlockRange range, RequestFlags flags = RequestFlags.None) =>
        RunAsync("zero", range.Offset, range.Length, BlockStatus.NoSpace, () =>
        {
            Writes++;
            content.AsSpan((int)range.Offset, (int)range.Length).Clear();
        });

    public ValueTask<BlockStatus> DiscardAsync(BlockRange range, RequestFlags flags = RequestFlags.None) =>
        RunAsync("discard", range.Offset, range.Length, BlockStatus.InvalidArgument, () =>
        {
            Writes++;
            content.AsSpan((int)range.Offset, (int)range.Length).Clear();
        });

    public ValueTask<BlockStatus> FlushAsync() => RunAsync("flush", 0, 0, BlockStatus.InvalidArgument, () => Flushes++);

    public ValueTask<BlockStatus> GetExtentsAsync(BlockRange range, IList<BlockExtent> extents, int maxExtents = int.MaxValue) =>
        RunAsync("status", range.Offset, range.Length, BlockStatus.InvalidArgument, () => extents.Add(new(range, ExtentKind.Data)));

    public ValueTask DisposeAsync()
    {
        GC.SuppressFinalize(this);
        return ValueTask.CompletedTask;
    }

    private ValueTask<BlockStatus> RunAsync(string op, long offset, long length, BlockStatus pastEnd, Action effect)
    {
        if (offset < 0 || length > LengthBytes - offset)
        {
            return new(pastEnd);
        }

        return Gate?.Invoke(op, offset) is { IsCompletedSuccessfully: false } gate ? WaitAsync(gate) : new(Apply());

        async ValueTask<BlockStatus> WaitAsync(Task waited)
        {
            await waited;
            return Apply();
        }

        BlockStatus Apply()
        {
            BlockStatus status = Fault?.Invoke(op, offset) ?? BlockStatus.Ok;
            if (status == BlockStatus.Ok)
            {
                lock (content)
                {
                    effect();
                }
            }

            return status;
        }
    }
}
