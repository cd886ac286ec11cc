using System.Buffers;
using System.Diagnostics;
using System.Runtime.InteropServices;
using Colo.Blocks;
using Colo.Nbd.Handshake;
using Colo.Nbd.Server;
using Colo.Nbd.Wire;
using Microsoft.Extensions.Logging;

namespace Colo.Nbd.Transmission;

/// <summary>What a session wants next.</summary>
internal enum PumpResult
{
    /// <summary>Receive into <see cref="TransmissionSession.ReceiveSpace"/>.</summary>
    NeedBytes,

    /// <summary>Nothing until the device or the client's reading makes room.</summary>
    Blocked,

    /// <summary>No further request will be begun.</summary>
    Closed,
}

/// <summary>
/// The transmission phase without threads and sockets: bytes in, device calls, replies into a <see cref="ReplyQueue"/>. Every whole
/// request in the receive buffer is served where it lies, in one <see cref="IoBatch"/>; a write's payload goes to the device as a
/// slice of that buffer, a read's is filled by the device where it will be sent from.
/// </summary>
/// <remarks>Pump, ReceiveSpace, Received and the waits belong to one thread. Requests may complete on any; <see cref="Close"/> may be
/// called from any.</remarks>
internal sealed class TransmissionSession
{
    /// <summary>Replies leave at the latest when so many bytes are gathered: more would only fall out of the cache.</summary>
    private const int FlushThresholdBytes = 192 << 10;

    /// <summary>Of a payload larger than this the rest is received exactly, so that nothing behind it has to be moved.</summary>
    private const int ExactReceiveBytes = 64 << 10;

    /// <summary>A prefetch reads in pieces of this size and keeps nothing.</summary>
    private const int CachePieceBytes = 256 << 10;

    private readonly IBlockDevice device;
    private readonly NbdExport export;
    private readonly NegotiatedSession negotiated;
    private readonly RequestRules rules;
    private readonly ReplyQueue replies;
    private readonly NbdSessionCounters counters;
    private readonly ILogger logger;
    private readonly ReceiveBufferPool buffers;
    private readonly int headerBytes;
    private readonly int readHeaderBytes;
    private readonly bool extended;
    private readonly int maxRequests;
    private readonly long maxBytes;
    private readonly object gate = new();
    private readonly Stack<PendingRequest> idlePending = new();
    private ReceiveBuffer buffer;
    private int receiveLimit;
    private List<BlockExtent> extents = [];
    private int bufferWanted;
    private ulong drainBytes;
    private RequestHeader drained;
    private BlockStatus drainedVerdict;
    private byte[] drainedReason = [];
    private bool barrier;
    private int pending;
    private long pendingBytes;
    private volatile bool closed;
    private volatile bool waiting;

    public TransmissionSession(
        NegotiatedSession negotiated, ReplyQueue replies, NbdSessionCounters counters, ILogger logger, NbdServerOptions options)
    {
        this.negotiated = negotiated;
        this.replies = replies;
        this.counters = counters;
        this.logger = logger;
        export = negotiated.Export;
        device = export.Device;
        rules = new RequestRules(negotiated);
        extended = negotiated.Format == ReplyFormat.Extended;
        headerBytes = extended ? RequestHeader.ExtendedBytes : RequestHeader.CompactBytes;
        readHeaderBytes = ReplyEncoding.ReadHeaderBytes(negotiated.Format);
        maxRequests = options.MaxRequestsInFlight;
        maxBytes = options.MaxBytesInFlight;
        buffers = new ReceiveBufferPool(options.ReceiveBufferBytes, maxBytes);
        buffer = buffers.Rent(options.ReceiveBufferBytes);
        receiveLimit = buffer.Capacity;
        replies.Drained = Signal;
    }

    /// <summary>What the client did wrong, where that ended the session.</summary>
    public string? Fault { get; private set; }

    /// <summary>Never empty after <see cref="PumpResult.NeedBytes"/>.</summary>
    public Memory<byte> ReceiveSpace => buffer.FreeSpace[..Math.Min(receiveLimit, buffer.FreeSpace.Length)];

    public void Received(int count) => buffer.Received(count);

    /// <summary>Serves every whole request that has been received.</summary>
    public PumpResult Pump()
    {
        using IoBatch.Scope batch = IoBatch.Begin();
        long now = Stopwatch.GetTimestamp();
        while (!closed)
        {
            if (barrier && !TryPassBarrier())
            {
                return PumpResult.Blocked;
            }

            if (drainBytes > 0)
            {
                if (!TryDrain())
                {
                    return NeedBytes(headerBytes);
                }

                continue;
            }

            if (buffer.Available < headerBytes)
            {
                return NeedBytes(headerBytes);
            }

            if (!RequestHeader.TryParse(buffer.Unread, extended, out RequestHeader request))
            {
                Fault = "the client sent something that is no request";
                closed = true;
            }
            else if (request.Command == NbdCommand.Disconnect)
            {
                closed = true;
            }
            else if (!HasRoom())
            {
                return PumpResult.Blocked;
            }
            else if (!TryServe(request, ref now, out PumpResult blockedBy))
            {
                return blockedBy;
            }
        }

        return PumpResult.Closed;
    }

    /// <summary>After <see cref="PumpResult.Blocked"/>: returns when another Pump may get further.</summary>
    public void WaitUntilUnblocked()
    {
        lock (gate)
        {
            waiting = true;
            Interlocked.MemoryBarrier();
            while (!closed && IsBlocked())
            {
                Monitor.Wait(gate);
            }

            waiting = false;
        }
    }

    /// <summary>Returns when the device has answered every request; then gives up its buffer. The last call.</summary>
    public void WaitUntilIdle()
    {
        lock (gate)
        {
            waiting = true;
            Interlocked.MemoryBarrier();
            while (Volatile.Read(ref pending) > 0)
            {
                Monitor.Wait(gate);
            }

            waiting = false;
        }

        buffer.Release();
    }

    /// <summary>No further request is begun. From any thread.</summary>
    public void Close()
    {
        closed = true;
        Signal();
    }

    /// <summary>The device broke its contract; the client gets EIO and we tell whoever must mend it.</summary>
    internal BlockStatus DeviceThrew(in RequestHeader request, Exception e)
    {
        NbdServerLog.DeviceThrew(logger, export.Name, request.Command, (long)request.Offset, e);
        return BlockStatus.IoError;
    }

    /// <summary>A request that had to wait is answered; on the thread that completed it.</summary>
    internal void Complete(PendingRequest request, BlockStatus status)
    {
        int heldBytes = request.HeldBytes;
        Answer(request.Request, request.Reservation, request.Extents, status, Stopwatch.GetTimestamp() - request.StartTimestamp);
        request.Payload?.Release();
        request.Clear();
        lock (idlePending)
        {
            idlePending.Push(request);
        }

        Interlocked.Add(ref pendingBytes, -heldBytes);
        Interlocked.Decrement(ref pending);
        Signal();
    }

    private void Signal()
    {
        Interlocked.MemoryBarrier(); // the change before, the look at `waiting` after: or the wake-up is lost
        if (waiting)
        {
            lock (gate)
            {
                Monitor.PulseAll(gate);
            }
        }
    }

    private bool HasRoom() =>
        Volatile.Read(ref pending) < maxRequests && Interlocked.Read(ref pendingBytes) + replies.UnsentBytes < maxBytes;

    private bool IsBlocked() =>
        (barrier && Volatile.Read(ref pending) > 0) || !HasRoom() || (bufferWanted > 0 && !CanGetBuffer());

    /// <summary>False where the request must wait for bytes or for room; it is looked at again then.</summary>
    private bool TryServe(in RequestHeader request, ref long now, out PumpResult blockedBy)
    {
        blockedBy = PumpResult.NeedBytes;
        ulong payloadBytes = request.PayloadBytes(extended);
        BlockStatus verdict = rules.Check(request, out ReadOnlySpan<byte> reason);
        if (verdict != BlockStatus.Ok)
        {
            Refuse(request, verdict, reason, payloadBytes);
            return true;
        }

        if (request.Command == NbdCommand.ColoCheckpoint && Volatile.Read(ref pending) > 0)
        {
            barrier = true; // every earlier request first
            blockedBy = PumpResult.Blocked;
            return false;
        }

        int wholeBytes = headerBytes + (int)payloadBytes;
        if (buffer.Available < wholeBytes)
        {
            blockedBy = NeedBytes(wholeBytes);
            return false;
        }

        Serve(request, wholeBytes, ref now);
        return true;
    }

    private void Serve(in RequestHeader request, int wholeBytes, ref long now)
    {
        int payloadStart = buffer.Start + headerBytes;
        ReplyReservation reservation = default;
        Memory<byte> data = default;
        ReceiveBuffer? payload = null;
        if (request.Command == NbdCommand.Write)
        {
            data = buffer.Slice(payloadStart, (int)request.Length);
            payload = buffer;
        }
        else if (request is { Command: NbdCommand.Read, Length: > 0 })
        {
            reservation = replies.Reserve(readHeaderBytes + (int)request.Length);
            data = reservation.Memory[readHeaderBytes..];
        }

        ValueTask<BlockStatus> call = Call(request, data);
        if (call.IsCompleted)
        {
            BlockStatus status = Result(request, call);
            long end = Stopwatch.GetTimestamp();
            Answer(request, reservation, extents, status, end - now);
            now = end;
        }
        else
        {
            Wait(request, payload, reservation, data.Length, now, call);
        }

        buffer.Consume(wholeBytes);
    }

    private ValueTask<BlockStatus> Call(in RequestHeader request, Memory<byte> data)
    {
        RequestFlags flags = (request.Flags & NbdCommandFlags.Fua) != 0 ? RequestFlags.ForceUnitAccess : RequestFlags.None;
        long offset = (long)request.Offset;
        try
        {
            switch (request.Command)
            {
                case NbdCommand.Flush:
                    return device.FlushAsync();
                case NbdCommand.ColoCheckpoint:
                    barrier = true; // and no later one before it has been answered
                    return export.Checkpoint!(offset);
                case var _ when request.Length == 0:
                    return new(BlockStatus.Ok);
                case NbdCommand.Read:
                    return device.ReadAsync(offset, data);
                case NbdCommand.Write:
                    return device.WriteAsync(offset, data, flags);
                case NbdCommand.WriteZeroes:
                    return device.WriteZeroesAsync(new(offset, (long)request.Length), flags | ZeroFlags(request.Flags));
                case NbdCommand.Trim:
                    return device.DiscardAsync(new(offset, (long)request.Length), flags);
                case NbdCommand.Cache:
                    return CacheAsync(offset, (long)request.Length);
                case NbdCommand.BlockStatus:
                    return GetExtents(request);
                default:
                    throw new UnreachableException($"{request.Command} passed the rules");
            }
        }
        catch (Exception e) when (e is not UnreachableException)
        {
            return new(DeviceThrew(request, e));
        }
    }

    private static RequestFlags ZeroFlags(NbdCommandFlags flags) =>
        ((flags & NbdCommandFlags.NoHole) == 0 ? RequestFlags.MayUnmap : 0)
        | ((flags & NbdCommandFlags.FastZero) != 0 ? RequestFlags.FastOnly : 0);

    private BlockStatus Result(in RequestHeader request, ValueTask<BlockStatus> call)
    {
        try
        {
            return call.GetAwaiter().GetResult();
        }
        catch (Exception e)
        {
            return DeviceThrew(request, e);
        }
    }

    private ValueTask<BlockStatus> GetExtents(in RequestHeader request)
    {
        extents.Clear();
        BlockRange range = new((long)request.Offset, (long)request.Length);
        if (!negotiated.BaseAllocation)
        {
            return new(BlockStatus.Ok);
        }

        bool one = (request.Flags & NbdCommandFlags.ReqOne) != 0;
        return device.GetExtentsAsync(range, extents, one ? 1 : NbdLimits.MaxExtents);
    }

    /// <summary>A prefetch: whatever cache the device has is filled by reading. A hint, so what is too much is left out.</summary>
    private async ValueTask<BlockStatus> CacheAsync(long offsetBytes, long lengthBytes)
    {
        byte[] sink = ArrayPool<byte>.Shared.Rent(CachePieceBytes);
        try
        {
            long end = offsetBytes + Math.Min(lengthBytes, NbdLimits.MaxPayloadBytes);
            while (offsetBytes < end)
            {
                int piece = (int)Math.Min(CachePieceBytes, end - offsetBytes);
                BlockStatus status = await device.ReadAsync(offsetBytes, sink.AsMemory(0, piece));
                if (status != BlockStatus.Ok)
                {
                    return status;
                }

                offsetBytes += piece;
            }

            return BlockStatus.Ok;
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(sink);
        }
    }

    private void Wait(
        in RequestHeader request, ReceiveBuffer? payload, ReplyReservation reservation, int heldBytes, long start, ValueTask<BlockStatus> call)
    {
        PendingRequest? waits;
        lock (idlePending)
        {
            idlePending.TryPop(out waits);
        }

        waits ??= new PendingRequest(this);
        List<BlockExtent>? filling = null;
        if (request.Command == NbdCommand.BlockStatus)
        {
            filling = extents;
            extents = [];
        }

        payload?.AddReference();
        Interlocked.Increment(ref pending);
        Interlocked.Add(ref pendingBytes, heldBytes);
        waits.Wait(request, payload, reservation, filling, heldBytes, start, call);
    }

    private void Answer(
        in RequestHeader request, ReplyReservation reservation, List<BlockExtent>? filled, BlockStatus status, long elapsedTicks)
    {
        if (reservation.Chunk is not null)
        {
            AnswerRead(request, reservation, status);
        }
        else if (request.Command == NbdCommand.BlockStatus && status == BlockStatus.Ok)
        {
            BlockStatusReply.Append(replies, negotiated, request, filled!);
        }
        else
        {
            replies.Append(request, status);
        }

        if (request.Command == NbdCommand.BlockStatus)
        {
            filled!.Clear();
        }

        counters.Count(Operation(request.Command), (long)request.Length, status, elapsedTicks);
        if (replies.UnsentBytes >= FlushThresholdBytes)
        {
            replies.FlushBatch();
        }
        else
        {
            IoBatch.Defer(replies);
        }
    }

    private void AnswerRead(in RequestHeader request, ReplyReservation reservation, BlockStatus status)
    {
        Span<byte> room = reservation.Memory.Span;
        if (status == BlockStatus.Ok)
        {
            ReplyEncoding.WriteReadHeader(room, negotiated.Format, request, (int)request.Length);
            replies.Commit(reservation, reservation.Length);
        }
        else
        {
            replies.Commit(reservation, ReplyEncoding.WriteAck(room, negotiated.Format, request, status));
        }
    }

    private static NbdOperation Operation(NbdCommand command) => command switch
    {
        NbdCommand.Read => NbdOperation.Read,
        NbdCommand.Write => NbdOperation.Write,
        NbdCommand.Flush => NbdOperation.Flush,
        NbdCommand.Trim => NbdOperation.Trim,
        NbdCommand.Cache => NbdOperation.Cache,
        NbdCommand.WriteZeroes => NbdOperation.WriteZeroes,
        NbdCommand.BlockStatus => NbdOperation.BlockStatus,
        _ => NbdOperation.Checkpoint,
    };

    /// <summary>Its payload is drained first, so that the client never gets an answer to what it is still sending.</summary>
    private void Refuse(in RequestHeader request, BlockStatus verdict, ReadOnlySpan<byte> reason, ulong payloadBytes)
    {
        buffer.Consume(headerBytes);
        if (payloadBytes > uint.MaxValue)
        {
            Fault = $"the client announced a payload of {payloadBytes} bytes"; // nobody waits for that
            closed = true;
        }
        else if (payloadBytes > 0)
        {
            (drained, drainedVerdict, drainedReason, drainBytes) = (request, verdict, reason.ToArray(), payloadBytes);
        }
        else
        {
            AnswerRefused(request, verdict, reason);
        }
    }

    private bool TryDrain()
    {
        int part = (int)Math.Min(drainBytes, (ulong)buffer.Available);
        buffer.Consume(part);
        drainBytes -= (ulong)part;
        if (drainBytes > 0)
        {
            return false;
        }

        AnswerRefused(drained, drainedVerdict, drainedReason);
        return true;
    }

    private void AnswerRefused(in RequestHeader request, BlockStatus verdict, ReadOnlySpan<byte> reason)
    {
        replies.Append(request, verdict, reason);
        if (request.Command <= NbdCommand.BlockStatus || request.Command == NbdCommand.ColoCheckpoint)
        {
            counters.Count(Operation(request.Command), 0, verdict, 0);
        }

        IoBatch.Defer(replies);
    }

    private bool TryPassBarrier()
    {
        if (Volatile.Read(ref pending) > 0)
        {
            return false;
        }

        barrier = false;
        return true;
    }

    /// <summary>Makes room so that <paramref name="wholeBytes"/> can lie in one piece from the first unread byte on.</summary>
    private PumpResult NeedBytes(int wholeBytes)
    {
        if (buffer.Available == 0 && buffer.IsExclusive)
        {
            buffer.Compact();
        }

        bool fits = buffer.Capacity - buffer.Start >= wholeBytes;
        bool returnsToStandard = buffer.Capacity > buffers.StandardBytes && wholeBytes <= buffers.StandardBytes;
        if (!fits && !returnsToStandard && wholeBytes <= buffer.Capacity && buffer.IsExclusive)
        {
            buffer.Compact();
        }
        else if (!fits || returnsToStandard)
        {
            bufferWanted = Math.Max(wholeBytes, buffers.StandardBytes);
            if (!CanGetBuffer())
            {
                return PumpResult.Blocked;
            }

            ReceiveBuffer next = buffers.Rent(bufferWanted);
            next.TakeUnreadOf(buffer);
            buffer.Release();
            buffer = next;
        }

        bufferWanted = 0;
        int missing = wholeBytes - buffer.Available;
        receiveLimit = missing >= ExactReceiveBytes ? missing : buffer.Capacity;
        return PumpResult.NeedBytes;
    }

    /// <summary>An exclusive buffer goes back as soon as the next is there, so it does not count; nor may it ever block itself.</summary>
    private bool CanGetBuffer() => buffer.IsExclusive || buffers.HasRoomFor(bufferWanted);
}
