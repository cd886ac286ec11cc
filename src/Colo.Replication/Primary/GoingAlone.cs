using Colo.Blocks;

namespace Colo.Replication;

/// <summary>
/// The way from a secondary to none: Suspended at once, Alone when the arbiter has recorded Stale, or fenced where it names another. The
/// one place where an acknowledged write could be lost; so the order in <see cref="GoAsync"/> is not to be changed.
/// </summary>
internal sealed class GoingAlone(
    RecordKeeper records,
    PrimaryTerm term,
    AttachedSecondary secondary,
    ServeSwitch serve,
    ErrorLatch errors,
    Divergence divergence,
    RangeLock inFlight,
    ReplicaLineage? lineage,
    PrimaryReplicaOptions options,
    TimeProvider time,
    OwnedTasks tasks)
{
    /// <summary>Called on the I/O path: the link is lost, whatever it was that failed.</summary>
    public void ForwardFailed(string reason, BlockStatus status) => Begin(reason, status, [ServeState.Replicating]);

    /// <param name="reason">For people.</param>
    /// <param name="status">Ok where it was wished for; otherwise error 2 is latched.</param>
    /// <param name="from">Does nothing in any other state.</param>
    public void Begin(string reason, BlockStatus status, ReadOnlySpan<ServeState> from)
    {
        if (!serve.TryChange(from, ServeState.Suspended, reason))
        {
            return;
        }

        if (status != BlockStatus.Ok)
        {
            errors.Report(ReplicationError.Forward, status, reason);
        }

        tasks.Own(Task.Run(() => GoAsync(reason)));
    }

    /// <summary>Because it was wished for; ends when it is Alone.</summary>
    public async Task BeginAndWaitAsync(string reason, CancellationToken token)
    {
        Begin(reason, BlockStatus.Ok, [ServeState.Replicating, ServeState.Waiting]);
        while (true)
        {
            Task changed = serve.Changed;
            switch (serve.State)
            {
                case ServeState.Alone:
                    return;
                case ServeState.Fenced or ServeState.Closed:
                    throw new ReplicationException(ReplicationFault.Superseded, serve.Reason);
            }

            await changed.WaitAsync(token);
        }
    }

    /// <summary>First the record, then the marks of what may be on one side only, then the acknowledgements: the order that lets no
    /// acknowledged write be lost, and none be missing from the next resync.</summary>
    private async Task GoAsync(string reason)
    {
        secondary.LetGo();
        if (await records.SetStaleAsync(tasks.Closing) == RecordOutcome.Superseded)
        {
            term.Fence($"the record says {records.Current}");
            return;
        }

        await BeginMapAsync();
        divergence.Forget();
        serve.TryChange([ServeState.Suspended], ServeState.Alone, reason);
    }

    /// <summary>Nothing is acknowledged before the map has begun: with a state directory that cannot be written, the guest waits.</summary>
    private async Task BeginMapAsync()
    {
        if (lineage is null)
        {
            return;
        }

        List<BlockRange> doubtful = [];
        inFlight.CopyTo(doubtful);
        doubtful.AddRange(divergence.LocalFailed?.SetRanges() ?? []);
        while (true)
        {
            try
            {
                await lineage.GoAloneAsync(doubtful);
                return;
            }
            catch (IOException e)
            {
                errors.Report(ReplicationError.PrimaryDisk, BlockStatus.IoError, $"the map of dirty grains cannot be begun: {e.Message}");
                await Task.Delay(options.ArbiterRetryLast, time, tasks.Closing);
            }
        }
    }
}
