using System.Diagnostics.CodeAnalysis;

namespace Colo.Simulation.Engine;

/// <summary>
/// The simulated clock and everything that is going to happen. Runs as one work item of a thread pool that has one thread: it puts itself
/// at the end of the pool's queue until nothing else is in it, and only then lets the next event happen and the time go on. So all code
/// of the product that the pool runs is run in one order, and time stands still meanwhile.
/// </summary>
/// <remarks>Everything here belongs to whoever has the turn: the pool's thread, or the one <see cref="Fiber"/> that it has handed the turn to.
/// No lock is needed, and none would help.</remarks>
internal sealed class Engine : IThreadPoolWorkItem
{
    private readonly PriorityQueue<Action, (long At, long Sequence)> events = new();
    private TaskCompletionSource ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Func<bool> isOver;
    private bool isDraining;
    private long sequence;
    private Exception? fault;

    public Engine(Func<bool> isOver)
    {
        ThreadPool.GetMaxThreads(out int workers, out _);
        if (workers != 1)
        {
            throw new InvalidOperationException($"the pool has {workers} threads: nothing would be repeatable (see the project file)");
        }

        this.isOver = isOver;
    }

    /// <summary>Ticks since the beginning.</summary>
    public long Now { get; private set; }

    public TimeSpan Elapsed => new(Now);

    public long Steps { get; private set; }

    /// <summary>Ends when <c>isOver</c> says so, or nothing is left to happen; faults with what an event threw.</summary>
    public Task RunAsync()
    {
        ThreadPool.UnsafeQueueUserWorkItem(this, preferLocal: false);
        return ended.Task;
    }

    /// <summary>Lets what is due now happen, and nothing later.</summary>
    public Task DrainAsync()
    {
        isDraining = true;
        fault = null;
        ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
        return RunAsync();
    }

    public void After(TimeSpan delay, Action what) =>
        events.Enqueue(what, (Now + Math.Max(0, delay.Ticks), sequence++));

    public void Soon(Action what) => After(TimeSpan.Zero, what);

    /// <summary>A failed check, wherever it was found: ends the run.</summary>
    public void Fail(Exception what) => fault ??= what;

    public Task DelayAsync(TimeSpan delay)
    {
        TaskCompletionSource due = new();
        After(delay, due.SetResult);
        return due.Task;
    }

    [SuppressMessage("Design", "CA1031", Justification = "whatever an event throws is the run's result")]
    void IThreadPoolWorkItem.Execute()
    {
        try
        {
            if (ThreadPool.PendingWorkItemCount == 0 && !Step())
            {
                ended.SetResult();
                return;
            }
        }
        catch (Exception e)
        {
            fault ??= e;
        }

        if (fault is not null)
        {
            ended.SetException(fault);
            return;
        }

        ThreadPool.UnsafeQueueUserWorkItem(this, preferLocal: false);
    }

    private bool Step()
    {
        if ((!isDraining && isOver())
            || !events.TryPeek(out Action? next, out (long At, long Sequence) when)
            || (isDraining && when.At > Now))
        {
            return false;
        }

        events.Dequeue();

        Now = when.At;
        Steps++;
        next();
        return true;
    }
}
