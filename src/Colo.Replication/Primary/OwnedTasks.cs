namespace Colo.Replication;

/// <summary>What runs beside the calls: every task is owned here from its start, and <see cref="EndAsync"/> waits for all of them.</summary>
internal sealed class OwnedTasks
{
    private readonly CancellationTokenSource closing = new();
    private readonly Lock gate = new();
    private readonly List<Task> tasks = [];

    /// <summary>Cancelled when the replica is disposed.</summary>
    public CancellationToken Closing => closing.Token;

    public void Own(Task task)
    {
        lock (gate)
        {
            tasks.RemoveAll(static ended => ended.IsCompleted);
            tasks.Add(task);
        }
    }

    public Task CancelAsync() => closing.CancelAsync();

    public async Task EndAsync()
    {
        Task[] owned;
        lock (gate)
        {
            owned = [.. tasks];
        }

        await Task.WhenAll(owned).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
    }
}
