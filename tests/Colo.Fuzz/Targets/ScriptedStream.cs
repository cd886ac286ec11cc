namespace Colo.Fuzz.Targets;

/// <summary>A connection whose peer says its piece, in pieces, and hangs up; what it is told is counted and kept up to a bound.</summary>
internal sealed class ScriptedStream(ReadOnlyMemory<byte> said, int pieceBytes) : Stream
{
    private const int MaxKeptBytes = 64 << 10;

    private readonly MemoryStream heard = new();
    private int position;
    private volatile bool closed;

    public ReadOnlySpan<byte> Heard
    {
        get
        {
            lock (heard)
            {
                return heard.ToArray();
            }
        }
    }

    public override bool CanRead => true;

    public override bool CanSeek => false;

    public override bool CanWrite => true;

    public override long Length => throw new NotSupportedException();

    public override long Position
    {
        get => throw new NotSupportedException();
        set => throw new NotSupportedException();
    }

    public override int Read(Span<byte> buffer)
    {
        ObjectDisposedException.ThrowIf(closed, this);
        int length = Math.Min(Math.Min(buffer.Length, pieceBytes), said.Length - position);
        said.Span.Slice(position, length).CopyTo(buffer);
        position += length;
        return length;
    }

    public override int Read(byte[] buffer, int offset, int count) => Read(buffer.AsSpan(offset, count));

    public override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default) => new(Read(buffer.Span));

    public override Task<int> ReadAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) =>
        Task.FromResult(Read(buffer.AsSpan(offset, count)));

    public override void Write(ReadOnlySpan<byte> buffer)
    {
        ObjectDisposedException.ThrowIf(closed, this);
        lock (heard)
        {
            heard.Write(buffer[..(int)Math.Min(buffer.Length, MaxKeptBytes - heard.Length)]);
        }
    }

    public override void Write(byte[] buffer, int offset, int count) => Write(buffer.AsSpan(offset, count));

    public override ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default)
    {
        Write(buffer.Span);
        return ValueTask.CompletedTask;
    }

    public override Task WriteAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken)
    {
        Write(buffer.AsSpan(offset, count));
        return Task.CompletedTask;
    }

    public override void Flush()
    {
        // Nothing is held back.
    }

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    public override void SetLength(long value) => throw new NotSupportedException();

    protected override void Dispose(bool disposing)
    {
        closed = true;
        base.Dispose(disposing);
    }
}
