using Colo.Blocks;
using Colo.Nbd.Wire;

namespace Colo.Nbd.Client;

/// <summary>
/// The requests of one client: the table of those on the wire, the queue of those that wait for a place in it, and what is
/// gathered for the next send. Keeps the order of the calls on the wire, also over a reconnect.
/// </summary>
/// <remarks>
/// Sending never blocks a caller: whoever finds another thread sending leaves its requests to that one, and what the socket does
/// not take goes to a thread of its own (<see cref="SendRemainder"/>). Memory is bounded by the table: a request keeps its place
/// until its reply.
/// </remarks>
internal sealed class RequestPipeline : IBatchSink
{
    /// <summary>After this many rounds for others a sender hands over: its caller has work of its own.</summary>
    private const int MaxSendRounds = 8;

    private readonly NbdClientOptions options;
    private readonly RequestPool pool = new();
    private readonly object gate = new();
    private readonly RequestTable table;
    private readonly Queue<PendingRequest> waiting = new();
    private readonly SemaphoreSlim remainder = new(0);
    private long sequence;
    private SendBatch filling;
    private SendBatch sending;
    private bool isSending;
    private bool sendFailed;
    private ClientTransport? transport;
    private bool extended;
    private Thread? remainderThread;
    private bool stopped;
    private long requests;
    private long bytesRead;
    private long bytesWritten;
    private long errors;
    private long sends;
    private readonly long[] changeLatencies = new long[LatencyBuckets.Count];

    public RequestPipeline(NbdClientOptions options)
    {
        this.options = options;
        table = new RequestTable(options.MaxInFlight);
        filling = new SendBatch(options.CoalesceBytes);
        sending = new SendBatch(options.CoalesceBytes);
    }

    /// <summary>Ok while requests are taken; afterwards what every request is answered.</summary>
    public BlockStatus ClosedStatus { get; private set; }

    public PendingRequest Rent(NbdCommand command, NbdCommandFlags flags, long offset, long length) =>
        pool.Rent(command, flags, offset, length);

    /// <summary>Puts the request behind all earlier ones; it leaves at the end of the caller's batch.</summary>
    public ValueTask<BlockStatus> Submit(PendingRequest request)
    {
        ValueTask<BlockStatus> answer = new(request, request.Version);
        BlockStatus refusal;
        lock (gate)
        {
            refusal = TryTake(request);
        }

        if (refusal == BlockStatus.Ok)
        {
            IoBatch.Defer(this);
        }
        else
        {
            request.Answer(refusal);
        }

        return answer;
    }

    public void FlushBatch()
    {
        lock (gate)
        {
            if (isSending || sendFailed || transport is null || filling.IsEmpty)
            {
                return;
            }

            isSending = true;
            (filling, sending) = (sending, filling);
        }

        SendAsOwner(MaxSendRounds);
    }

    /// <summary>The request on the wire with this cookie, or null.</summary>
    public PendingRequest? Find(ulong cookie) => table.Find(cookie);

    /// <summary>Takes the request off the wire and answers it. Receive thread only.</summary>
    public void Complete(PendingRequest request, BlockStatus status)
    {
        bool hasMore;
        lock (gate)
        {
            table.Remove(request);
            hasMore = waiting.Count > 0 && FillTable();
        }

        if (hasMore)
        {
            IoBatch.Defer(this);
        }

        if (request.Command is NbdCommand.Write or NbdCommand.WriteZeroes or NbdCommand.Trim)
        {
            changeLatencies[LatencyBuckets.IndexOf(options.TimeProvider.GetElapsedTime(request.SentTimestamp).TotalMicroseconds)]++;
        }

        if (status != BlockStatus.Ok)
        {
            errors++;
        }
        else if (request.Command == NbdCommand.Read)
        {
            bytesRead += request.Length;
        }

        request.Answer(status);
    }

    /// <summary>A new connection: what waits goes onto it.</summary>
    public void Attach(ClientTransport newTransport, bool useExtendedHeaders)
    {
        lock (gate)
        {
            (transport, extended, sendFailed) = (newTransport, useExtendedHeaders, false);
            FillTable();
        }

        FlushBatch();
    }

    /// <summary>
    /// The connection is gone (its transport aborted): takes everything off the wire and, to be sent again, in front of what
    /// waits. Answers those that cannot be sent twice.
    /// </summary>
    public void Detach()
    {
        List<PendingRequest> never = [];
        lock (gate)
        {
            transport = null;
            while (isSending)
            {
                Monitor.Wait(gate);
            }
        }

        // Nobody fills or sends them now. This may answer a request whose reply overtook its payload: not under the lock.
        sending.Clear();
        filling.Clear();
        lock (gate)
        {
            List<PendingRequest> again = table.TakeAll();
            never.AddRange(again.Where(request => request.Command == NbdCommand.ColoCheckpoint));
            again.RemoveAll(request => request.Command == NbdCommand.ColoCheckpoint);
            again.ForEach(request => request.Rewind());
            again.AddRange(waiting);
            waiting.Clear();
            again.ForEach(waiting.Enqueue);
        }

        AnswerAll(never, BlockStatus.IoError);
    }

    /// <summary>No more requests: what waits, and all that comes, is answered <paramref name="status"/>. Only when detached.</summary>
    public void Close(BlockStatus status)
    {
        PendingRequest[] left;
        lock (gate)
        {
            ClosedStatus = ClosedStatus == BlockStatus.Shutdown ? BlockStatus.Shutdown : status;
            left = [.. waiting];
            waiting.Clear();
            stopped = true;
            remainder.Release();
        }

        AnswerAll(left, status);
    }

    /// <summary>Takes no new request; those on the wire may still be answered, and DISC goes behind them.</summary>
    public void BeginClose()
    {
        PendingRequest[] left;
        lock (gate)
        {
            ClosedStatus = BlockStatus.Shutdown;
            left = [.. waiting];
            waiting.Clear();
            if (transport is not null)
            {
                filling.AddDisconnect(extended);
            }
        }

        FlushBatch();
        AnswerAll(left, BlockStatus.Shutdown);
    }

    public NbdClientCounters Snapshot(long reconnects)
    {
        lock (gate)
        {
            return new NbdClientCounters(
                requests, Volatile.Read(ref bytesRead), bytesWritten, Volatile.Read(ref errors), Volatile.Read(ref sends),
                reconnects, table.Count, waiting.Count, OldestInFlight());
        }
    }

    /// <summary>Writes, zeroes and discards by the time from the wire to their answer; the receive thread alone counts.</summary>
    public long[] ChangeLatencies()
    {
        long[] copy = new long[LatencyBuckets.Count];
        for (int i = 0; i < copy.Length; i++)
        {
            copy[i] = Volatile.Read(ref changeLatencies[i]);
        }

        return copy;
    }

    public TimeSpan OldestInFlightAge()
    {
        lock (gate)
        {
            return OldestInFlight();
        }
    }

    private BlockStatus TryTake(PendingRequest request)
    {
        if (ClosedStatus != BlockStatus.Ok)
        {
            return ClosedStatus;
        }

        request.Sequence = sequence++;
        requests++;
        if (request.Command == NbdCommand.Write)
        {
            bytesWritten += request.Length;
        }

        if (waiting.Count == 0 && table.HasFree && transport is not null)
        {
            PutOnWire(request);
            return BlockStatus.Ok;
        }

        if (waiting.Count >= options.MaxWaiting)
        {
            return BlockStatus.OutOfMemory;
        }

        waiting.Enqueue(request);
        return BlockStatus.Ok;
    }

    /// <returns>Whether anything was put on the wire.</returns>
    private bool FillTable()
    {
        bool any = false;
        while (transport is not null && table.HasFree && waiting.TryPeek(out PendingRequest? next))
        {
            if (next.WaitsForAll && table.Count > 0)
            {
                // A flush that is sent again covers the writes that are sent again: they are answered first.
                break;
            }

            PutOnWire(waiting.Dequeue());
            any = true;
        }

        return any;
    }

    private void PutOnWire(PendingRequest request)
    {
        table.Add(request);
        request.SentTimestamp = options.TimeProvider.GetTimestamp();
        filling.Add(request, extended);
    }

    private void SendAsOwner(int maxRounds)
    {
        ClientTransport? to = transport;
        for (int round = 0; to is not null; round++)
        {
            try
            {
                if (round == maxRounds || !sending.TrySend(to, ref sends))
                {
                    HandOver();
                    return;
                }
            }
            catch (Exception e) when (e is IOException or ObjectDisposedException or InvalidOperationException)
            {
                // The receive thread sees the end too, and decides what becomes of the requests.
                sendFailed = true;
                to.Abort();
                break;
            }

            lock (gate)
            {
                sending.Clear();
                if (filling.IsEmpty || transport is null)
                {
                    EndSending();
                    return;
                }

                (filling, sending) = (sending, filling);
            }
        }

        lock (gate)
        {
            EndSending();
        }
    }

    private void EndSending()
    {
        isSending = false;
        Monitor.PulseAll(gate);
    }

    private void HandOver()
    {
        if (remainderThread is null)
        {
            remainderThread = new Thread(SendRemainder) { IsBackground = true, Name = "nbd-client-send" };
            remainderThread.Start();
        }

        remainder.Release();
    }

    /// <summary>The thread that waits for a socket that is full, so that no caller does.</summary>
    private void SendRemainder()
    {
        while (true)
        {
            remainder.Wait();
            if (!isSending)
            {
                if (stopped)
                {
                    return;
                }

                continue;
            }

            transport?.WaitUntilWritable();
            SendAsOwner(int.MaxValue);
        }
    }

    private TimeSpan OldestInFlight() =>
        table.OldestTimestamp() is { } oldest ? options.TimeProvider.GetElapsedTime(oldest) : TimeSpan.Zero;

    private void AnswerAll(IReadOnlyList<PendingRequest> all, BlockStatus status)
    {
        using IoBatch.Scope batch = IoBatch.Begin();
        foreach (PendingRequest request in all)
        {
            errors++;
            request.Answer(status);
        }
    }
}
