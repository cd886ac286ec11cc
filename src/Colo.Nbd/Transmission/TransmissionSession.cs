using System.Diagnostics;
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
    private readonly RequestRules rules;
    private readonly DeviceCalls calls;
    private readonly RequestAnswers answers;
    private readonly ReplyQueue replies;
    private readonly ReceiveWindow window;
    private readonly int headerBytes;
    private readonly int readHeaderBytes;
    private readonly bool extended;
    private readonly int maxRequests;
    private readonly long maxBytes;
    private readonly ConnectionThreads threads;
    private readonly object gate = new();
    private readonly Stack<PendingRequest> idlePending = new();
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
        this.replies = replies;
        rules = new RequestRules(negotiated);
        calls = new DeviceCalls(negotiated, logger);
        answers = new RequestAnswers(negotiated, replies, counters);
        extended = negotiated.Format == ReplyFormat.Extended;
        headerBytes = extended ? RequestHeader.ExtendedBytes : RequestHeader.CompactBytes;
        readHeaderBytes = ReplyEncoding.ReadHeaderBytes(negotiated.Format);
        maxRequests = options.MaxRequestsInFlight;
        maxBytes = options.MaxBytesInFlight;
        threads = options.Threads;
        window = new ReceiveWindow(options.ReceiveBufferBytes, maxBytes);
        replies.Drained = Signal;
    }

    /// <summary>What the client did wrong, where that ended the session.</summary>
    public string? Fault { get; private set; }

    /// <summary>Never empty after <see cref="PumpResult.NeedBytes"/>.</summary>
    public Memory<byte> ReceiveSpace => window.Space;

    public void Received(int count) => window.Buffer.Received(count);

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

            if (window.Buffer.Available < headerBytes)
            {
                return NeedBytes(headerBytes);
            }

            if (!RequestHeader.TryParse(window.Buffer.Unread, extended, out RequestHeader request))
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
                threads.Wait(gate);
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
                threads.Wait(gate);
            }

            waiting = false;
        }

        window.Buffer.Release();
    }

    /// <summary>No further request is begun. From any thread.</summary>
    public void Close()
    {
        closed = true;
        Signal();
    }

    internal BlockStatus DeviceThrew(in RequestHeader request, Exception e) => calls.Threw(request, e);

    /// <summary>A request that had to wait is answered; on the thread that completed it.</summary>
    internal void Complete(PendingRequest request, BlockStatus status)
    {
        int heldBytes = request.HeldBytes;
        answers.Answer(request.Request, request.Reservation, request.Extents, status, Stopwatch.GetTimestamp() - request.StartTimestamp);
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
                threads.PulseAll(gate);
            }
        }
    }

    private bool HasRoom() =>
        Volatile.Read(ref pending) < maxRequests && Interlocked.Read(ref pendingBytes) + replies.UnsentBytes < maxBytes;

    private bool IsBlocked() =>
        (barrier && Volatile.Read(ref pending) > 0) || !HasRoom() || window.IsBlocked;

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

        if (request.Command == NbdCommand.ColoCheckpoint)
        {
            barrier = true; // every earlier request first, and no later one before it has been answered
            if (Volatile.Read(ref pending) > 0)
            {
                blockedBy = PumpResult.Blocked;
                return false;
            }
        }

        int wholeBytes = headerBytes + (int)payloadBytes;
        if (window.Buffer.Available < wholeBytes)
        {
            blockedBy = NeedBytes(wholeBytes);
            return false;
        }

        Serve(request, wholeBytes, ref now);
        return true;
    }

    private void Serve(in RequestHeader request, int wholeBytes, ref long now)
    {
        ReceiveBuffer buffer = window.Buffer;
        ReplyReservation reservation = default;
        Memory<byte> data = default;
        ReceiveBuffer? payload = null;
        if (request.Command == NbdCommand.Write)
        {
            data = buffer.Slice(buffer.Start + headerBytes, (int)request.Length);
            payload = buffer;
        }
        else if (request is { Command: NbdCommand.Read, Length: > 0 })
        {
            reservation = replies.Reserve(readHeaderBytes + (int)request.Length);
            data = reservation.Memory[readHeaderBytes..];
        }

        ValueTask<BlockStatus> call = calls.Begin(request, data);
        if (call.IsCompleted)
        {
            BlockStatus status = calls.Result(request, call);
            long end = Stopwatch.GetTimestamp();
            answers.Answer(request, reservation, calls.Extents, status, end - now);
            now = end;
        }
        else
        {
            Wait(request, payload, reservation, data.Length, now, call);
        }

        buffer.Consume(wholeBytes);
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
        List<BlockExtent>? filling = request.Command == NbdCommand.BlockStatus ? calls.TakeExtents() : null;
        payload?.AddReference();
        Interlocked.Increment(ref pending);
        Interlocked.Add(ref pendingBytes, heldBytes);
        waits.Wait(request, payload, reservation, filling, heldBytes, start, call);
    }

    /// <summary>Its payload is drained first, so that the client never gets an answer to what it is still sending.</summary>
    private void Refuse(in RequestHeader request, BlockStatus verdict, ReadOnlySpan<byte> reason, ulong payloadBytes)
    {
        window.Buffer.Consume(headerBytes);
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
            answers.Refuse(request, verdict, reason);
        }
    }

    private bool TryDrain()
    {
        int part = (int)Math.Min(drainBytes, (ulong)window.Buffer.Available);
        window.Buffer.Consume(part);
        drainBytes -= (ulong)part;
        if (drainBytes > 0)
        {
            return false;
        }

        answers.Refuse(drained, drainedVerdict, drainedReason);
        return true;
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

    private PumpResult NeedBytes(int wholeBytes) => window.TryMakeRoom(wholeBytes) ? PumpResult.NeedBytes : PumpResult.Blocked;
}
