using Colo.Blocks;

namespace Colo.Replication;

/// <summary>
/// Requests that both children have answered, but so late that another may serve by now: this process was frozen, or the answer lay in a
/// network that was cut. They wait for a question asked after they came: of the secondary, which answers none of a primary that it has
/// replaced, or of the arbiter. So nothing is acknowledged after a takeover, however long this side slept before.
/// </summary>
internal sealed class LateAnswers(
    RecordKeeper records, PrimaryTerm term, Quorum quorum, GoingAlone goingAlone, PrimaryReplicaOptions options, TimeProvider time, OwnedTasks tasks)
{
    /// <summary>Below the shortest heartbeatTimeout that a volume may have (500 ms): nobody is replaced sooner.</summary>
    public static readonly TimeSpan MaxAge = TimeSpan.FromMilliseconds(400);

    /// <summary>Read of the secondary to hear from it; its content is of no matter.</summary>
    private const int QuestionBytes = 4096;

    private readonly Lock gate = new();
    private List<QuorumRequest> waiting = [];
    private bool isAsking;
    private long confirmedAt;

    /// <summary>It is so short since the request was sent, or since the last answer, that nobody can have been put in our place.</summary>
    public bool IsFresh(QuorumRequest request) =>
        time.GetElapsedTime(Math.Max(request.BegunAt, Volatile.Read(ref confirmedAt))) <= MaxAge;

    /// <summary>Judged again after the next question; the request keeps its range and its place in the gate.</summary>
    public void Hold(QuorumRequest request)
    {
        lock (gate)
        {
            waiting.Add(request);
            if (isAsking)
            {
                return;
            }

            isAsking = true;
        }

        tasks.Own(Task.Run(AskAsync));
    }

    private async Task AskAsync()
    {
        while (TakeWaiting() is { Count: > 0 } late)
        {
            if (await ConfirmAsync())
            {
                Volatile.Write(ref confirmedAt, time.GetTimestamp());
            }

            foreach (QuorumRequest request in late)
            {
                quorum.Settle(request);
            }
        }
    }

    private List<QuorumRequest> TakeWaiting()
    {
        lock (gate)
        {
            List<QuorumRequest> taken = waiting;
            isAsking = taken.Count > 0;
            waiting = [];
            return taken;
        }
    }

    /// <summary>True at the first answer that says that this node is the primary. Otherwise the state is not Replicating any more.</summary>
    private async Task<bool> ConfirmAsync()
    {
        using CancellationTokenSource answered = CancellationTokenSource.CreateLinkedTokenSource(tasks.Closing);
        Task<bool> arbiter = AskArbiterAsync(answered.Token);
        Task<bool> secondary = AskSecondaryAsync();
        tasks.Own(secondary);
        Task<bool> first = await Task.WhenAny(arbiter, secondary);
        await answered.CancelAsync();
        return await first;
    }

    private async Task<bool> AskArbiterAsync(CancellationToken token)
    {
        try
        {
            if (await records.ConfirmAsync(token) == RecordOutcome.Recorded)
            {
                return true;
            }

            term.Fence($"the record says {records.Current}");
        }
        catch (OperationCanceledException)
        {
            // The secondary was quicker, or the replica is being closed.
        }

        return false;
    }

    private async Task<bool> AskSecondaryAsync()
    {
        if (quorum.Remote is not { } remote)
        {
            return false;
        }

        using PooledBuffer buffer = await BufferPool.Shared.RentAsync(QuestionBytes, CancellationToken.None);
        Task<BlockStatus> read = remote.ReadAsync(0, buffer.Memory[..(int)Math.Min(QuestionBytes, remote.LengthBytes)]).AsTask();
        try
        {
            await read.WaitAsync(options.ForwardTimeout, time);
        }
        catch (TimeoutException)
        {
            goingAlone.ForwardFailed($"the secondary is silent for {options.ForwardTimeout.TotalSeconds:F1} s", BlockStatus.IoError);
        }

        // Also after that: the buffer is the link's until it answers, and it does when it is given up.
        BlockStatus answer = await read;
        if (answer != BlockStatus.Ok)
        {
            goingAlone.ForwardFailed($"the secondary answered {answer} to a read", answer);
        }

        return answer == BlockStatus.Ok;
    }
}
