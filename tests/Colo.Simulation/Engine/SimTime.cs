namespace Colo.Simulation.Engine;

/// <summary>The clock of one process: the engine's, with a wall clock that faults may move. Timers end with the process.</summary>
internal sealed class SimTime(SimProcess process) : TimeProvider
{
    private static readonly DateTimeOffset Beginning = new(2030, 1, 1, 0, 0, 0, TimeSpan.Zero);

    /// <summary>The wall clock is off by so much; the monotonic one never is.</summary>
    public TimeSpan Skew { get; set; }

    public override long TimestampFrequency => TimeSpan.TicksPerSecond;

    // One and not zero at the beginning: some code takes zero for "never".
    public override long GetTimestamp() => process.Engine.Now + 1;

    public override DateTimeOffset GetUtcNow() => Beginning + process.Engine.Elapsed + Skew;

    public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
    {
        Timer timer = new(process, callback, state);
        timer.Change(dueTime, period);
        return timer;
    }

    /// <summary>Never ends for a process that is dead by then.</summary>
    public Task DelayAsync(TimeSpan delay)
    {
        TaskCompletionSource due = new();
        process.Engine.After(delay, () => process.Do(due.SetResult));
        return due.Task;
    }

    private sealed class Timer(SimProcess process, TimerCallback callback, object? state) : ITimer
    {
        private long version;

        public bool Change(TimeSpan dueTime, TimeSpan period)
        {
            long mine = ++version;
            if (dueTime >= TimeSpan.Zero)
            {
                process.Engine.After(dueTime, () => Fire(mine, period));
            }

            return true;
        }

        public void Dispose() => version++;

        public ValueTask DisposeAsync()
        {
            Dispose();
            return ValueTask.CompletedTask;
        }

        private void Fire(long mine, TimeSpan period)
        {
            if (mine != version || process.IsDead)
            {
                return;
            }

            if (period > TimeSpan.Zero)
            {
                process.Engine.After(period, () => Fire(mine, period));
            }

            // On the pool, as the system's timers do: the callback may do what it likes.
            process.Do(() => ThreadPool.UnsafeQueueUserWorkItem(
                static due => due.Run(), new Due(this, mine), preferLocal: false));
        }

        private sealed record Due(Timer Timer, long Version)
        {
            public void Run()
            {
                if (Timer.version == Version)
                {
                    Timer.Callback();
                }
            }
        }

        private void Callback() => callback(state);
    }
}
