using System.Numerics;

namespace Colo.Blocks;

/// <summary>
/// Memory for payloads: pinned and aligned to 4096 bytes, so that it serves O_DIRECT and every socket alike, and bounded: what is
/// lent and what lies idle together never exceed <see cref="LimitBytes"/>.
/// </summary>
/// <remarks>Size classes are powers of two from 4 KiB. A rent that finds an idle buffer allocates nothing. Idle buffers of other
/// classes are given up when a class needs room. All members are thread-safe.</remarks>
public sealed class BufferPool
{
    public const int AlignmentBytes = 4096;

    /// <summary>The largest NBD payload (32 MiB) and a few blocks around it for a read-modify-write.</summary>
    public const int MaxBufferBytes = 64 << 20;

    private static readonly int ClassCount = BitOperations.Log2(MaxBufferBytes / AlignmentBytes) + 1;

    private readonly Lock gate = new();
    private readonly Stack<PooledBuffer>[] idle;
    private readonly Queue<Waiter> waiters = new();
    private long heldBytes;
    private long lentBytes;

    /// <param name="limitBytes">At least one buffer of the largest size that will be asked for; each buffer costs its class and 4 KiB.</param>
    public BufferPool(long limitBytes)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(limitBytes, 2 * AlignmentBytes);
        LimitBytes = limitBytes;
        idle = new Stack<PooledBuffer>[ClassCount];
        for (int i = 0; i < ClassCount; i++)
        {
            idle[i] = new Stack<PooledBuffer>();
        }
    }

    /// <summary>One for the whole process, for whoever was not handed one: 512 MiB.</summary>
    public static BufferPool Shared { get; } = new(512L << 20);

    public long LimitBytes { get; }

    /// <summary>Bytes lent now, in whole buffers.</summary>
    public long LentBytes => Volatile.Read(ref lentBytes);

    /// <summary>Bytes taken from the process, lent or idle.</summary>
    public long HeldBytes => Volatile.Read(ref heldBytes);

    /// <summary>A buffer of exactly <paramref name="lengthBytes"/>, not cleared. Dispose it once, and do not touch it afterwards.</summary>
    /// <exception cref="BufferPoolExhaustedException">The limit is reached. For callers whose own limits keep them below; others use
    /// <see cref="RentAsync"/>.</exception>
    public PooledBuffer Rent(int lengthBytes) =>
        TryRent(lengthBytes) ?? throw new BufferPoolExhaustedException($"{LentBytes} of {LimitBytes} bytes of buffers are lent");

    /// <summary>As <see cref="Rent"/>; null where the limit is reached or others already wait.</summary>
    public PooledBuffer? TryRent(int lengthBytes)
    {
        int sizeClass = ClassOf(lengthBytes);
        lock (gate)
        {
            return waiters.Count > 0 ? null : Take(sizeClass, lengthBytes);
        }
    }

    /// <summary>As <see cref="Rent"/>; where the limit is reached, waits in order of arrival for buffers to come back.</summary>
    public ValueTask<PooledBuffer> RentAsync(int lengthBytes, CancellationToken cancellationToken = default)
    {
        int sizeClass = ClassOf(lengthBytes);
        if (CostOf(sizeClass) > LimitBytes)
        {
            throw new BufferPoolExhaustedException($"a buffer of {lengthBytes} bytes never fits a pool of {LimitBytes}");
        }

        lock (gate)
        {
            if (waiters.Count == 0 && Take(sizeClass, lengthBytes) is { } buffer)
            {
                return new(buffer);
            }

            Waiter waiter = new(sizeClass, lengthBytes, cancellationToken);
            waiters.Enqueue(waiter);
            return new(waiter.Task);
        }
    }

    internal void Return(PooledBuffer buffer)
    {
        List<(Waiter Waiter, PooledBuffer Buffer)>? served = null;
        lock (gate)
        {
            lentBytes -= CostOf(buffer.SizeClass);
            idle[buffer.SizeClass].Push(buffer);
            while (waiters.TryPeek(out Waiter? next))
            {
                PooledBuffer? taken = next.IsGone ? null : Take(next.SizeClass, next.LengthBytes);
                if (taken is null && !next.IsGone)
                {
                    break;
                }

                waiters.Dequeue();
                if (taken is not null)
                {
                    (served ??= []).Add((next, taken));
                }
            }
        }

        if (served is null)
        {
            return;
        }

        foreach ((Waiter waiter, PooledBuffer taken) in served)
        {
            if (!waiter.TrySetResult(taken))
            {
                taken.Dispose();
            }
        }
    }

    private PooledBuffer? Take(int sizeClass, int lengthBytes)
    {
        if (!idle[sizeClass].TryPop(out PooledBuffer? buffer))
        {
            if (!MakeRoom(CostOf(sizeClass)))
            {
                return null;
            }

            buffer = new PooledBuffer(this, sizeClass, AlignmentBytes << sizeClass);
            heldBytes += CostOf(sizeClass);
        }

        lentBytes += CostOf(sizeClass);
        buffer.Lend(lengthBytes);
        return buffer;
    }

    /// <summary>Gives idle buffers of any class back to the garbage collector, largest first, until the cost fits the limit.</summary>
    private bool MakeRoom(long cost)
    {
        if (lentBytes + cost > LimitBytes)
        {
            return false;
        }

        for (int i = ClassCount - 1; i >= 0; i--)
        {
            while (heldBytes + cost > LimitBytes && idle[i].TryPop(out _))
            {
                heldBytes -= CostOf(i);
            }
        }

        return true;
    }

    private static int ClassOf(int lengthBytes)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(lengthBytes);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(lengthBytes, MaxBufferBytes);
        return lengthBytes <= AlignmentBytes ? 0 : BitOperations.Log2((uint)(lengthBytes - 1)) - BitOperations.Log2(AlignmentBytes) + 1;
    }

    private static long CostOf(int sizeClass) => ((long)AlignmentBytes << sizeClass) + AlignmentBytes;

    private sealed class Waiter : TaskCompletionSource<PooledBuffer>
    {
        private readonly CancellationTokenRegistration registration;

        public Waiter(int sizeClass, int lengthBytes, CancellationToken cancellationToken)
            : base(TaskCreationOptions.RunContinuationsAsynchronously)
        {
            SizeClass = sizeClass;
            LengthBytes = lengthBytes;
            registration = cancellationToken.Register(() => TrySetCanceled(cancellationToken));
        }

        public int SizeClass { get; }

        public int LengthBytes { get; }

        public bool IsGone => Task.IsCompleted;

        public new bool TrySetResult(PooledBuffer buffer)
        {
            registration.Dispose();
            return base.TrySetResult(buffer);
        }
    }
}
