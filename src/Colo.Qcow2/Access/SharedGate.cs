namespace Colo.Qcow2.Access;

/// <summary>
/// Keeps clusters alive under running requests: requests enter shared, whoever frees or moves clusters enters alone. Without it a
/// read or an in-place write could reach a cluster that was given to someone else meanwhile. Entering shared costs one interlocked
/// increment; a waiting exclusive entry stops new shared ones, so that it is not starved.
/// </summary>
internal sealed class SharedGate
{
    private readonly SemaphoreSlim exclusive = new(1, 1);
    private volatile TaskCompletionSource drained = NewSignal();
    private volatile TaskCompletionSource reopened = NewSignal();
    private int shared;
    private int closed;

    public ValueTask EnterSharedAsync()
    {
        Interlocked.Increment(ref shared);
        if (Volatile.Read(ref closed) == 0)
        {
            return ValueTask.CompletedTask;
        }

        ExitShared();
        return WaitSharedAsync();
    }

    public void ExitShared()
    {
        if (Interlocked.Decrement(ref shared) == 0 && Volatile.Read(ref closed) != 0)
        {
            drained.TrySetResult();
        }
    }

    public async ValueTask EnterExclusiveAsync()
    {
        await exclusive.WaitAsync();
        reopened = NewSignal();
        drained = NewSignal();
        Interlocked.Exchange(ref closed, 1);
        while (Volatile.Read(ref shared) != 0)
        {
            await drained.Task;

            // A late shared entry may raise the count for a moment on its way out: look again, with a fresh signal set up first.
            drained = NewSignal();
        }
    }

    public void ExitExclusive()
    {
        Interlocked.Exchange(ref closed, 0);
        reopened.TrySetResult();
        exclusive.Release();
    }

    private static TaskCompletionSource NewSignal() => new(TaskCreationOptions.RunContinuationsAsynchronously);

    private async ValueTask WaitSharedAsync()
    {
        while (true)
        {
            Task signal = reopened.Task;
            Interlocked.Increment(ref shared);
            if (Volatile.Read(ref closed) == 0)
            {
                return;
            }

            ExitShared();
            await signal;
        }
    }
}
