using Colo.Blocks;
using Colo.Qcow2;

namespace Colo.Fuzz.Targets;

/// <summary>An image file in memory that is full at a bound: an image may claim any size, it does not get it.</summary>
internal sealed class MemoryImageFile : IImageFile
{
    private const int MaxBytes = 16 << 20;

    private byte[] content;
    private int length;

    public MemoryImageFile(byte[] content, bool readOnly)
    {
        this.content = (byte[])content.Clone();
        length = content.Length;
        IsReadOnly = readOnly;
    }

    public string Path => "fuzz.qcow2";

    public bool IsReadOnly { get; }

    public bool CompletesSynchronously => true;

    public long LengthBytes => length;

    public ValueTask<BlockStatus> ReadAsync(long offsetBytes, Memory<byte> destination)
    {
        RequireSane(offsetBytes);
        int available = (int)Math.Clamp(length - offsetBytes, 0, destination.Length);
        if (available > 0)
        {
            content.AsSpan((int)offsetBytes, available).CopyTo(destination.Span);
        }

        destination.Span[available..].Clear();
        return new(BlockStatus.Ok);
    }

    public ValueTask<BlockStatus> WriteAsync(long offsetBytes, ReadOnlyMemory<byte> source)
    {
        RequireSane(offsetBytes);
        if (IsReadOnly)
        {
            throw new FuzzFailureException("a file opened read-only is written");
        }

        if (offsetBytes > MaxBytes - source.Length)
        {
            return new(BlockStatus.NoSpace);
        }

        Grow((int)offsetBytes + source.Length);
        source.Span.CopyTo(content.AsSpan((int)offsetBytes));
        return new(BlockStatus.Ok);
    }

    public ValueTask<BlockStatus> ZeroAsync(BlockRange range)
    {
        int end = (int)Math.Min(range.End, length);
        if (range.Offset < end)
        {
            content.AsSpan((int)range.Offset, end - (int)range.Offset).Clear();
        }

        return new(BlockStatus.Ok);
    }

    public ValueTask<BlockStatus> DiscardAsync(BlockRange range) => ZeroAsync(range);

    public ValueTask<BlockStatus> SetLengthAsync(long lengthBytes)
    {
        RequireSane(lengthBytes);
        if (lengthBytes > MaxBytes)
        {
            return new(BlockStatus.NoSpace);
        }

        Grow((int)lengthBytes);
        content.AsSpan((int)lengthBytes).Clear();
        length = (int)lengthBytes;
        return new(BlockStatus.Ok);
    }

    public ValueTask<BlockStatus> FlushAsync() => new(BlockStatus.Ok);

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;

    private void Grow(int wanted)
    {
        if (wanted > content.Length)
        {
            Array.Resize(ref content, Math.Max(wanted, Math.Min(MaxBytes, content.Length * 2)));
        }

        length = Math.Max(length, wanted);
    }

    private static void RequireSane(long offsetBytes)
    {
        if (offsetBytes < 0)
        {
            throw new FuzzFailureException($"the file is asked for offset {offsetBytes}");
        }
    }
}
