using Colo.Blocks;

namespace Colo.Qcow2.Tests;

/// <summary>One change of a file, as it was asked for; a flush changes nothing but is noted among them.</summary>
public readonly record struct FileChange(long Offset, byte[]? Bytes, long Length, bool IsFlush = false)
{
    private const int SectorBytes = 512;

    /// <summary>Applies the change, or, torn, only a part of its sectors.</summary>
    public byte[] ApplyTo(byte[] content, Random? torn = null)
    {
        if (IsFlush)
        {
            return content;
        }

        if (Bytes is null)
        {
            Array.Resize(ref content, (int)Length);
            return content;
        }

        long end = torn is null ? Offset + Length : TornEnd(torn);
        if (end > content.Length)
        {
            Array.Resize(ref content, (int)end);
        }

        Bytes.AsSpan(0, (int)(end - Offset)).CopyTo(content.AsSpan((int)Offset));
        return content;
    }

    private long TornEnd(Random random)
    {
        long firstBoundary = (Offset / SectorBytes * SectorBytes) + SectorBytes;
        long sectors = Math.Max(0, (Offset + Length - firstBoundary + SectorBytes - 1) / SectorBytes);
        long kept = random.NextInt64(0, sectors + 1);
        return kept == 0 ? Offset : Math.Min(Offset + Length, firstBoundary + ((kept - 1) * SectorBytes));
    }
}

/// <summary>An image file in memory that records every change in order; what a kill leaves is any prefix of the record.</summary>
public sealed class MemoryImageFile : IImageFile
{
    private readonly Lock gate = new();
    private byte[] content = [];

    public MemoryImageFile(byte[]? initial = null) => content = initial is null ? [] : [.. initial];

    public List<FileChange> Changes { get; } = [];

    public bool Records { get; init; } = true;

    public int Writes { get; private set; }

    public int Flushes { get; private set; }

    /// <summary>Decides the status of a change (op, offset) before it happens.</summary>
    public Func<string, long, BlockStatus>? Fault { get; set; }

    public string Path => "memory";

    public bool IsReadOnly { get; init; }

    public bool CompletesSynchronously => true;

    public long LengthBytes => content.Length;

    public byte[] Snapshot()
    {
        lock (gate)
        {
            return [.. content];
        }
    }

    public ValueTask<BlockStatus> ReadAsync(long offsetBytes, Memory<byte> destination)
    {
        lock (gate)
        {
            BlockStatus status = Fault?.Invoke("read", offsetBytes) ?? BlockStatus.Ok;
            int there = (int)Math.Clamp(content.Length - offsetBytes, 0, destination.Length);
            content.AsSpan((int)Math.Min(offsetBytes, content.Length), there).CopyTo(destination.Span);
            destination.Span[there..].Clear();
            return new(status);
        }
    }

    public ValueTask<BlockStatus> WriteAsync(long offsetBytes, ReadOnlyMemory<byte> source) => Change("write", offsetBytes, source.ToArray());

    public ValueTask<BlockStatus> ZeroAsync(BlockRange range)
    {
        long end = Math.Min(range.End, LengthBytes);
        return range.Offset >= end ? new(BlockStatus.Ok) : Change("zero", range.Offset, new byte[end - range.Offset]);
    }

    /// <summary>Poisons what was let go: whoever still reads it will be seen.</summary>
    public ValueTask<BlockStatus> DiscardAsync(BlockRange range)
    {
        long end = Math.Min(range.End, LengthBytes);
        if (range.Offset >= end)
        {
            return new(BlockStatus.Ok);
        }

        byte[] poison = new byte[end - range.Offset];
        Array.Fill(poison, (byte)0xdd);
        return Change("discard", range.Offset, poison);
    }

    public ValueTask<BlockStatus> SetLengthAsync(long lengthBytes)
    {
        lock (gate)
        {
            BlockStatus status = Fault?.Invoke("length", lengthBytes) ?? BlockStatus.Ok;
            if (status == BlockStatus.Ok)
            {
                Record(new(0, null, lengthBytes));
                Array.Resize(ref content, (int)lengthBytes);
            }

            return new(status);
        }
    }

    public ValueTask<BlockStatus> FlushAsync()
    {
        lock (gate)
        {
            Flushes++;
            Record(new(0, null, 0, IsFlush: true));
            return new(Fault?.Invoke("flush", 0) ?? BlockStatus.Ok);
        }
    }

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;

    private ValueTask<BlockStatus> Change(string op, long offset, byte[] bytes)
    {
        lock (gate)
        {
            BlockStatus status = Fault?.Invoke(op, offset) ?? BlockStatus.Ok;
            if (status != BlockStatus.Ok)
            {
                return new(status);
            }

            Writes += op == "write" ? 1 : 0;
            Record(new(offset, bytes, bytes.Length));
            if (offset + bytes.Length > content.Length)
            {
                Array.Resize(ref content, (int)(offset + bytes.Length));
            }

            bytes.CopyTo(content, offset);
            return new(BlockStatus.Ok);
        }
    }

    private void Record(FileChange change)
    {
        if (Records)
        {
            Changes.Add(change);
        }
    }
}
