using Colo.Blocks;

namespace Colo.Linux;

/// <summary>
/// fdatasync, shared and sticky. Flushes that wait together are answered by one fdatasync, which begins after the last of them has
/// arrived: a flush never rides on one that had begun before.
/// </summary>
/// <remarks>
/// A failure is never forgotten. When a page cannot be written, Linux reports it to one fdatasync, marks the page clean and may drop
/// it; the next fdatasync would answer success over lost data. So after a failure every flush and FUA fails until the file is opened anew,
/// and whoever owns the replica treats it as lost.
/// </remarks>
internal sealed class Durability(FileDescriptor descriptor, Func<BlockStatus> syncData)
{
    private readonly Lock gate = new();
    private IoRequest? waiting;
    private bool active;
    private int failure;

    /// <summary>The first failure, or Ok.</summary>
    public BlockStatus Failure => (BlockStatus)Volatile.Read(ref failure);

    /// <summary>Joins the next group. True where the caller must have a worker call <see cref="RunGroups"/>.</summary>
    public bool Join(IoRequest flush)
    {
        lock (gate)
        {
            flush.Next = waiting;
            waiting = flush;
            bool leads = !active;
            active = true;
            return leads;
        }
    }

    /// <summary>Answers groups until none waits.</summary>
    public void RunGroups()
    {
        while (TakeGroup() is { } group)
        {
            CompleteAll(group, Sync());
        }
    }

    /// <summary>Answers everyone who waits, without a sync: the file is closing.</summary>
    public void Abandon()
    {
        while (TakeGroup() is { } group)
        {
            CompleteAll(group, BlockStatus.Shutdown);
        }
    }

    /// <summary>One fdatasync for the caller alone.</summary>
    public BlockStatus Sync()
    {
        if (Failure != BlockStatus.Ok)
        {
            return Failure;
        }

        BlockStatus status = syncData();
        if (status != BlockStatus.Ok)
        {
            Latch(status);
        }

        return Failure;
    }

    /// <summary>A write that is durable when it answers Ok.</summary>
    public BlockStatus WriteThrough(long offsetBytes, ReadOnlySpan<byte> source)
    {
        if (Failure != BlockStatus.Ok)
        {
            return Failure;
        }

        BlockStatus status = descriptor.WriteThrough(offsetBytes, source);
        if (status == BlockStatus.Ok)
        {
            return Failure;
        }

        // Was it the write that failed (nothing is lost) or the sync behind it (earlier pages may be)? A plain write tells.
        BlockStatus plain = descriptor.Write(offsetBytes, source);
        if (plain == BlockStatus.Ok)
        {
            Latch(status);
        }

        return status;
    }

    private void Latch(BlockStatus status) => Interlocked.CompareExchange(ref failure, (int)status, (int)BlockStatus.Ok);

    private IoRequest? TakeGroup()
    {
        lock (gate)
        {
            IoRequest? group = waiting;
            waiting = null;
            active = group is not null;
            return group;
        }
    }

    private static void CompleteAll(IoRequest group, BlockStatus status)
    {
        for (IoRequest? flush = group; flush is not null;)
        {
            IoRequest completed = flush;
            flush = completed.Next;
            completed.Next = null;
            completed.Complete(status);
        }
    }
}
