namespace Colo.Replication;

/// <summary>
/// Counts the requests in flight, and can hold new ones while those in flight end: what a checkpoint, an attach and a failover need.
/// Holds nest; from the return of <see cref="Hold"/> on nobody enters.
/// </summary>
internal sealed class RequestGate
{
    private const long HeldBit = 1L << 40;

    private readonly Lock gate = new();
    private TaskCompletionSource drained = Completed();
    private TaskCompletionSource opened = Completed();
    private int holds;
    private long word;

    /// <summary>False while held; otherwise <see cref="Exit"/> must follow.</summary>
    public bool TryEnter()
    {
        if ((Interlocked.Increment(ref word) & HeldBit) == 0)
        {
            return true;
        }

        Exit();
        return false;
    }

    public async ValueTask EnterAsync()
    {
        while (!TryEnter())
        {
            await Volatile.Read(ref opened).Task;
        }
    }

    public void Exit()
    {
        if (Interlocked.Decrement(ref word) == HeldBit)
        {
            Volatile.Read(ref drained).TrySetResult();
        }
    }

    public void Hold()
    {
        lock (gate)
        {
            if (holds++ == 0)
            {
                // Both before the bit: whoever is refused by the bit finds what to wait for.
                Volatile.Write(ref opened, Pending());
                Volatile.Write(ref drained, Pending());
                Interlocked.Or(ref word, HeldBit);
            }
        }
    }

    /// <summary>While held: ends when no request is in flight any more.</summary>
    public Task DrainAsync()
    {
        TaskCompletionSource ends = Volatile.Read(ref drained);
        if (Volatile.Read(ref word) == HeldBit)
        {
            ends.TrySetResult();
        }

        return ends.Task;
    }

    public void Release()
    {
        lock (gate)
        {
            if (--holds == 0)
            {
                Interlocked.And(ref word, ~HeldBit);
                opened.TrySetResult();
            }
        }
    }

    private static TaskCompletionSource Pending() => new(TaskCreationOptions.RunContinuationsAsynchronously);

    private static TaskCompletionSource Completed()
    {
        TaskCompletionSource source = new();
        source.SetResult();
        return source;
    }
}
