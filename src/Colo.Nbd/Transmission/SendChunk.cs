using System.Buffers;

namespace Colo.Nbd.Transmission;

/// <summary>
/// A run of memory that replies are built in. Its references (the queue that fills it, each reservation, each segment that waits
/// to be sent) are counted under the queue's lock; the last one returns the array.
/// </summary>
internal sealed class SendChunk(int capacityBytes)
{
    public byte[] Array { get; } = ArrayPool<byte>.Shared.Rent(capacityBytes);

    public int Capacity { get; } = capacityBytes;

    /// <summary>The first byte that nobody has.</summary>
    public int Tail { get; set; }

    public int References { get; set; } = 1;

    public void Release()
    {
        if (--References == 0)
        {
            ArrayPool<byte>.Shared.Return(Array);
        }
    }
}

/// <summary>Room in a chunk for one reply: filled by whoever holds it, then committed once.</summary>
internal readonly record struct ReplyReservation(SendChunk? Chunk, int Start, int Length)
{
    public Memory<byte> Memory => Chunk!.Array.AsMemory(Start, Length);
}

/// <summary>Bytes that wait to be sent.</summary>
internal readonly record struct SendSegment(SendChunk Chunk, int Start, int End)
{
    public int Length => End - Start;

    public ReadOnlySpan<byte> Span => Chunk.Array.AsSpan(Start, Length);
}
