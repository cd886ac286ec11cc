using System.Diagnostics;
using Colo.Blocks;
using Colo.Nbd.Handshake;

namespace Colo.Nbd.Transmission;

/// <summary>
/// The replies of one connection on their way out: built in place, gathered over a batch, sent in one go. Anyone may append; one
/// thread at a time sends. The connection's own thread may wait for a slow reader; any other thread sends what the socket takes at
/// once and leaves the rest to a sender of this connection.
/// </summary>
internal sealed class ReplyQueue : IBatchSink, IDisposable
{
    /// <summary>Sixty answers to 4 KiB reads; small enough to stay in the cache from one batch to the next.</summary>
    private const int ChunkBytes = 256 << 10;

    /// <summary>Answers that came out of order are copied together up to here: cheaper than a send each.</summary>
    private const int SmallSegmentBytes = 8 << 10;

    private readonly Stream stream;
    private readonly INonBlockingSend? nonBlocking;
    private readonly Action failed;
    private readonly Lock gate = new();
    private readonly AutoResetEvent handedOver = new(false);
    private readonly ManualResetEventSlim idle = new(true);
    private readonly int ownerThreadId = Environment.CurrentManagedThreadId;
    private List<SendSegment> gathered = [];
    private List<SendSegment> outgoing = [];
    private int outgoingIndex;
    private SendChunk current = new(ChunkBytes);
    private Thread? sender;
    private long unsentBytes;
    private bool sending;
    private volatile bool broken;
    private volatile bool disposed;

    /// <param name="stream">Written by one thread at a time.</param>
    /// <param name="format">Framing of every reply.</param>
    /// <param name="failed">Called once, when the client cannot be reached any more.</param>
    public ReplyQueue(Stream stream, ReplyFormat format, Action failed)
    {
        this.stream = stream;
        this.failed = failed;
        nonBlocking = stream as INonBlockingSend;
        Format = format;
    }

    public ReplyFormat Format { get; }

    /// <summary>Committed and not yet taken by the socket.</summary>
    public long UnsentBytes => Interlocked.Read(ref unsentBytes);

    /// <summary>Called, on any thread, when bytes have left.</summary>
    public Action? Drained { get; set; }

    /// <summary>Room for one reply, in line with the others while they complete in order.</summary>
    public ReplyReservation Reserve(int lengthBytes)
    {
        lock (gate)
        {
            return ReserveLocked(lengthBytes);
        }
    }

    /// <summary>Queues the first <paramref name="lengthBytes"/> of a reservation; the holder must not touch it any more.</summary>
    public void Commit(ReplyReservation reservation, int lengthBytes)
    {
        lock (gate)
        {
            CommitLocked(reservation, lengthBytes);
        }
    }

    /// <summary>Appends an acknowledgement or an error.</summary>
    public void Append(in RequestHeader request, BlockStatus status, ReadOnlySpan<byte> reason = default)
    {
        lock (gate)
        {
            ReplyReservation reservation = ReserveLocked(ReplyEncoding.MaxAckBytes);
            CommitLocked(reservation, ReplyEncoding.WriteAck(reservation.Memory.Span, Format, request, status, reason));
        }
    }

    public void FlushBatch()
    {
        lock (gate)
        {
            if (sending || gathered.Count == 0)
            {
                return; // whoever sends takes these too
            }

            sending = true;
            idle.Reset();
        }

        SendGathered(mayWait: Environment.CurrentManagedThreadId == ownerThreadId);
    }

    /// <summary>Sends what is left and returns when it has left, or cannot any more. Only the owner's thread.</summary>
    public void FinishSending()
    {
        FlushBatch();
        idle.Wait();
        FlushBatch();
    }

    public void Dispose()
    {
        disposed = true;
        handedOver.Set();
        sender?.Join();
        lock (gate)
        {
            BreakLocked();
            current.Release();
        }

        handedOver.Dispose();
        idle.Dispose();
    }

    private ReplyReservation ReserveLocked(int lengthBytes)
    {
        if (lengthBytes > current.Capacity - current.Tail)
        {
            if (lengthBytes > ChunkBytes)
            {
                SendChunk own = new(lengthBytes); // its one reference is the reservation's
                own.Tail = lengthBytes;
                return new(own, 0, lengthBytes);
            }

            current.Release();
            current = new SendChunk(ChunkBytes);
        }

        ReplyReservation reservation = new(current, current.Tail, lengthBytes);
        current.Tail += lengthBytes;
        current.References++;
        return reservation;
    }

    private void CommitLocked(ReplyReservation reservation, int lengthBytes)
    {
        Debug.Assert(lengthBytes <= reservation.Length, "a reply longer than its room");
        SendChunk chunk = reservation.Chunk!;
        int end = reservation.Start + lengthBytes;
        if (chunk.Tail == reservation.Start + reservation.Length)
        {
            chunk.Tail = end; // gives back what was not needed, so that the next reply stands next to this one
        }

        if (broken)
        {
            ReleaseLocked(chunk);
            return;
        }

        Interlocked.Add(ref unsentBytes, lengthBytes);
        int last = gathered.Count - 1;
        if (last >= 0 && ReferenceEquals(gathered[last].Chunk, chunk) && gathered[last].End == reservation.Start)
        {
            gathered[last] = gathered[last] with { End = end };
            chunk.References--; // the segment has one already
        }
        else
        {
            gathered.Add(new(chunk, reservation.Start, end));
        }
    }

    /// <summary>The one sender's loop: until nothing is left, or the socket is full and this thread must not wait.</summary>
    private void SendGathered(bool mayWait)
    {
        try
        {
            while (TakeGathered())
            {
                while (outgoingIndex < outgoing.Count)
                {
                    SendSegment segment = outgoing[outgoingIndex];
                    int sent = Send(segment.Span, mayWait);
                    Interlocked.Add(ref unsentBytes, -sent);
                    if (sent < segment.Length)
                    {
                        outgoing[outgoingIndex] = segment with { Start = segment.Start + sent };
                        HandOver();
                        return;
                    }

                    outgoingIndex++;
                    lock (gate)
                    {
                        ReleaseLocked(segment.Chunk);
                    }
                }

                Drained?.Invoke();
            }
        }
        catch (Exception e) when (e is IOException or ObjectDisposedException or InvalidOperationException)
        {
            Break();
        }
    }

    private bool TakeGathered()
    {
        lock (gate)
        {
            if (outgoingIndex < outgoing.Count)
            {
                return true; // handed over half way
            }

            outgoing.Clear();
            outgoingIndex = 0;
            if (gathered.Count == 0 || broken)
            {
                sending = false;
                idle.Set();
                return false;
            }

            (gathered, outgoing) = (outgoing, gathered);
            if (outgoing.Count > 1)
            {
                JoinSmallSegmentsLocked();
            }

            return true;
        }
    }

    private int Send(ReadOnlySpan<byte> bytes, bool mayWait)
    {
        if (mayWait)
        {
            stream.Write(bytes);
            return bytes.Length;
        }

        return nonBlocking?.TrySend(bytes) ?? 0;
    }

    /// <summary>Replies that completed out of order lie apart: copies neighbouring small ones into one.</summary>
    private void JoinSmallSegmentsLocked()
    {
        SendChunk? joined = null;
        int kept = 0;
        for (int i = 0; i < outgoing.Count; i++)
        {
            SendSegment segment = outgoing[i];
            if (segment.Length > SmallSegmentBytes)
            {
                joined = null;
                outgoing[kept++] = segment;
                continue;
            }

            if (joined is null || joined.Capacity - joined.Tail < segment.Length)
            {
                joined = new SendChunk(ChunkBytes); // its one reference is the joined segment's
                outgoing[kept++] = new(joined, 0, 0);
            }

            segment.Span.CopyTo(joined.Array.AsSpan(joined.Tail));
            joined.Tail += segment.Length;
            outgoing[kept - 1] = new(joined, 0, joined.Tail);
            ReleaseLocked(segment.Chunk);
        }

        outgoing.RemoveRange(kept, outgoing.Count - kept);
    }

    private void ReleaseLocked(SendChunk chunk)
    {
        chunk.Release();
        if (ReferenceEquals(chunk, current) && chunk.References == 1)
        {
            chunk.Tail = 0; // only the queue itself is left: begin at the front again
        }
    }

    /// <summary>From here on the sender's thread is the one that sends; it is made when it is first needed.</summary>
    private void HandOver()
    {
        lock (gate)
        {
            if (sender is null && !disposed)
            {
                sender = new Thread(RunSender) { IsBackground = true, Name = "nbd-sender" };
                sender.Start();
            }
        }

        handedOver.Set();
    }

    private void RunSender()
    {
        while (true)
        {
            handedOver.WaitOne();
            if (disposed)
            {
                return;
            }

            SendGathered(mayWait: true);
        }
    }

    private void Break()
    {
        lock (gate)
        {
            BreakLocked();
        }

        failed();
        Drained?.Invoke();
    }

    private void BreakLocked()
    {
        broken = true;
        for (int i = outgoingIndex; i < outgoing.Count; i++)
        {
            outgoing[i].Chunk.Release();
        }

        foreach (SendSegment segment in gathered)
        {
            segment.Chunk.Release();
        }

        outgoing.Clear();
        outgoingIndex = 0;
        gathered.Clear();
        Interlocked.Exchange(ref unsentBytes, 0);
        sending = false;
        idle.Set();
    }
}
