namespace Colo.Qcow2.Access;

/// <summary>
/// The one lock for changes of mapping and refcounts. Held across the writes of one change, so that their order in the file is the
/// order in memory. On a medium that never suspends, waiting blocks (for microseconds) instead of hopping to another thread.
/// </summary>
internal sealed class MappingLock(bool mediumIsSynchronous)
{
    private readonly SemaphoreSlim semaphore = new(1, 1);

    /// <summary>No holder ever suspends.</summary>
    public bool MayBlock { get; set; } = mediumIsSynchronous;

    public ValueTask EnterAsync()
    {
        if (semaphore.Wait(0))
        {
            return ValueTask.CompletedTask;
        }

        if (!MayBlock)
        {
            return new(semaphore.WaitAsync());
        }

        semaphore.Wait();
        return ValueTask.CompletedTask;
    }

    public void Exit() => semaphore.Release();
}
