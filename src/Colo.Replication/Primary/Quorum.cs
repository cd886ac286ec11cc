using Colo.Blocks;

namespace Colo.Replication;

/// <summary>
/// The children of the primary's disk: the local one first, and at most one remote (QEMU's quorum with read-pattern=fifo). Writes go to
/// both; the remote is read only where the local fails. The remote comes and goes while requests run (x-blockdev-change); its adder
/// decides when, and what an answer means.
/// </summary>
internal sealed class Quorum(IBlockDevice local, IQuorumOwner owner, TimeProvider time)
{
    private readonly Lock pool = new();
    private readonly Stack<QuorumRequest> idle = new();
    private QuorumRequest[] all = [];
    private IReplicationLink? remote;
    private long requests;

    public IBlockDevice Local { get; } = local;

    public IReplicationLink? Remote => Volatile.Read(ref remote);

    /// <summary>Of the guest, so far; may be off by those that begin at this moment.</summary>
    public long Requests => Volatile.Read(ref requests);

    public IQuorumOwner Owner { get; } = owner;

    public void AddChild(IReplicationLink child)
    {
        if (Interlocked.CompareExchange(ref remote, child, null) is not null)
        {
            throw new ReplicationException(ReplicationFault.WrongState, "the quorum has its remote child already: detach it first");
        }
    }

    public IReplicationLink? RemoveChild() => Interlocked.Exchange(ref remote, null);

    /// <summary>Sends a write to both children: queued on the remote first, so that it travels while the local disk works.</summary>
    public ValueTask<BlockStatus> Write(RangeLock.Held held, long offsetBytes, ReadOnlyMemory<byte> source, RequestFlags flags)
    {
        QuorumRequest request = Rent();
        request.Begin(RequestKind.Write, new(offsetBytes, source.Length), flags, held, time.GetTimestamp());
        ValueTask<BlockStatus> forward = Remote is { } child ? child.WriteAsync(offsetBytes, source, flags) : Gone;
        return request.Run(forward, Local.WriteAsync(offsetBytes, source, flags), Owner);
    }

    public ValueTask<BlockStatus> Zero(RangeLock.Held held, BlockRange range, RequestFlags flags)
    {
        QuorumRequest request = Rent();
        request.Begin(RequestKind.Zero, range, flags, held, time.GetTimestamp());
        ValueTask<BlockStatus> forward = Remote is { } child ? child.WriteZeroesAsync(range, flags) : Gone;
        return request.Run(forward, Local.WriteZeroesAsync(range, flags), Owner);
    }

    public ValueTask<BlockStatus> Flush()
    {
        QuorumRequest request = Rent();
        request.Begin(RequestKind.Flush, default, RequestFlags.None, default, time.GetTimestamp());
        ValueTask<BlockStatus> forward = Remote is { } child ? child.FlushAsync() : Gone;
        return request.Run(forward, Local.FlushAsync(), Owner);
    }

    /// <summary>Both children have answered, now or before: acknowledged, or judged.</summary>
    public void Settle(QuorumRequest request)
    {
        if (Owner.TryAcknowledge(request))
        {
            request.Finish(BlockStatus.Ok);
        }
        else
        {
            Owner.Judge(request);
        }
    }

    /// <summary>How long the oldest unanswered forward has been waiting; zero where there is none.</summary>
    public TimeSpan OldestForward()
    {
        long now = time.GetTimestamp();
        long oldest = now;
        foreach (QuorumRequest request in Volatile.Read(ref all))
        {
            long forwardedAt = request.ForwardedAt;
            oldest = forwardedAt == 0 ? oldest : Math.Min(oldest, forwardedAt);
        }

        return time.GetElapsedTime(oldest, now);
    }

    public void Return(QuorumRequest request)
    {
        lock (pool)
        {
            idle.Push(request);
        }
    }

    private static ValueTask<BlockStatus> Gone => new(BlockStatus.Shutdown);

    private QuorumRequest Rent()
    {
        lock (pool)
        {
            requests++;
            if (idle.TryPop(out QuorumRequest? request))
            {
                return request;
            }

            request = new QuorumRequest(this);
            Volatile.Write(ref all, [.. all, request]);
            return request;
        }
    }
}
