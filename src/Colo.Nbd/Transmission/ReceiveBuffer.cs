using System.Buffers;

namespace Colo.Nbd.Transmission;

/// <summary>
/// Bytes as they came off the wire. The session that fills it holds one reference, each request that still uses a slice of it
/// another; the last one to let go returns the array. Only the session moves its positions.
/// </summary>
internal sealed class ReceiveBuffer
{
    private readonly ReceiveBufferPool pool;
    private readonly byte[] array;
    private int references = 1;

    public ReceiveBuffer(ReceiveBufferPool pool, int capacityBytes)
    {
        this.pool = pool;
        array = ArrayPool<byte>.Shared.Rent(capacityBytes);
        Capacity = capacityBytes;
    }

    public int Capacity { get; }

    /// <summary>Parsed so far.</summary>
    public int Start { get; private set; }

    /// <summary>Received so far.</summary>
    public int End { get; private set; }

    public int Available => End - Start;

    public ReadOnlySpan<byte> Unread => array.AsSpan(Start, Available);

    /// <summary>Nobody but the session uses it: its content may be moved.</summary>
    public bool IsExclusive => Volatile.Read(ref references) == 1;

    public Memory<byte> Slice(int start, int length) => array.AsMemory(start, length);

    public Memory<byte> FreeSpace => array.AsMemory(End, Capacity - End);

    public void Received(int count) => End += count;

    public void Consume(int count) => Start += count;

    /// <summary>Moves what is unread to the front. Only where <see cref="IsExclusive"/>.</summary>
    public void Compact()
    {
        Unread.CopyTo(array);
        End = Available;
        Start = 0;
    }

    public void TakeUnreadOf(ReceiveBuffer other)
    {
        other.Unread.CopyTo(array.AsSpan(End));
        End += other.Available;
    }

    public void AddReference() => Interlocked.Increment(ref references);

    public void Release()
    {
        if (Interlocked.Decrement(ref references) == 0)
        {
            ArrayPool<byte>.Shared.Return(array);
            pool.Returned(Capacity);
        }
    }
}

/// <summary>Hands out one connection's receive buffers, within its bound.</summary>
internal sealed class ReceiveBufferPool(int standardBytes, long maxBytes)
{
    private long rentedBytes;

    public int StandardBytes => standardBytes;

    public bool HasRoomFor(int capacityBytes) => Interlocked.Read(ref rentedBytes) + capacityBytes <= maxBytes;

    /// <summary>Ask <see cref="HasRoomFor"/> first; only the session's thread rents.</summary>
    public ReceiveBuffer Rent(int capacityBytes)
    {
        Interlocked.Add(ref rentedBytes, capacityBytes);
        return new ReceiveBuffer(this, capacityBytes);
    }

    public void Returned(int capacityBytes) => Interlocked.Add(ref rentedBytes, -capacityBytes);
}
