namespace Colo.Replication;

internal enum RecordOutcome
{
    /// <summary>The record says now what was wanted.</summary>
    Recorded,

    /// <summary>Another node, or a newer term, has the volume: this one must stop serving.</summary>
    Superseded,
}

/// <summary>
/// A primary's dealings with the arbiter, one at a time: reads and changes the volume's record under its term, for as long as the
/// arbiter does not answer, and learns from conflicts who else changed it.
/// </summary>
internal sealed class RecordKeeper(PrimaryReplicaOptions options, IArbiter arbiter, TimeProvider time, IReplicationObserver observer)
{
    private readonly SemaphoreSlim one = new(1);
    private VolumeRecord? current;
    private bool uncertain;

    public VolumeRecord? Current => Volatile.Read(ref current);

    /// <summary>Asks until the arbiter answers.</summary>
    public async Task<RecordOutcome> ConfirmAsync(CancellationToken token)
    {
        await one.WaitAsync(token);
        try
        {
            for (TimeSpan pause = options.ArbiterRetryFirst; ; pause = Longer(pause))
            {
                if (await ReadAsync(token) is { } record && record.Term >= options.Term)
                {
                    Learn(record);
                    return IsOurs(record) ? RecordOutcome.Recorded : RecordOutcome.Superseded;
                }

                await Task.Delay(pause, time, token);
            }
        }
        finally
        {
            one.Release();
        }
    }

    /// <summary>Records Stale where the record says, or may say, that the secondary can be promoted.</summary>
    public Task<RecordOutcome> SetStaleAsync(CancellationToken token) =>
        ChangeAsync(record => record.SecondaryState == SecondaryState.InSync || uncertain, MakeStale, token);

    public Task<RecordOutcome> SetSecondaryAsync(string secondary, SecondaryState state, CancellationToken token) =>
        ChangeAsync(
            record => uncertain || record.Secondary != secondary || record.SecondaryState != state,
            record => record with { Secondary = secondary, SecondaryState = state },
            token);

    private static VolumeRecord MakeStale(VolumeRecord record) =>
        record.Secondary.Length == 0 ? record : record with { SecondaryState = SecondaryState.Stale };

    private async Task<RecordOutcome> ChangeAsync(
        Func<VolumeRecord, bool> isNeeded, Func<VolumeRecord, VolumeRecord> change, CancellationToken token)
    {
        await one.WaitAsync(token);
        try
        {
            for (TimeSpan pause = options.ArbiterRetryFirst; ; pause = Longer(pause))
            {
                VolumeRecord known = current ?? throw new InvalidOperationException("the record is changed before it was confirmed");
                if (!IsOurs(known))
                {
                    return RecordOutcome.Superseded;
                }

                if (!isNeeded(known))
                {
                    return RecordOutcome.Recorded;
                }

                // An update without an answer may have happened all the same: until a later one is answered we do not know what it says.
                uncertain = true;
                ArbiterAnswer answer = await UpdateAsync(known, change(known), token);
                if (answer.Outcome == ArbiterOutcome.Unavailable || answer.Record is null)
                {
                    await Task.Delay(pause, time, token);
                    continue;
                }

                uncertain = false;
                Learn(answer.Record);
                if (answer.Outcome == ArbiterOutcome.Updated)
                {
                    return RecordOutcome.Recorded;
                }
            }
        }
        finally
        {
            one.Release();
        }
    }

    private bool IsOurs(VolumeRecord record) => record.Term == options.Term && record.Primary == options.Node;

    private void Learn(VolumeRecord record)
    {
        Volatile.Write(ref current, record);
        observer.RecordChanged(record);
    }

    private async ValueTask<VolumeRecord?> ReadAsync(CancellationToken token)
    {
        try
        {
            return await arbiter.ReadAsync(options.Uid, token);
        }
        catch (Exception) when (!token.IsCancellationRequested)
        {
            return null;
        }
    }

    /// <summary>An arbiter that throws has not answered: holding on is the safe way.</summary>
    private async ValueTask<ArbiterAnswer> UpdateAsync(VolumeRecord expected, VolumeRecord next, CancellationToken token)
    {
        try
        {
            return await arbiter.TryUpdateAsync(expected, next, token);
        }
        catch (Exception) when (!token.IsCancellationRequested)
        {
            return ArbiterAnswer.Unavailable;
        }
    }

    private TimeSpan Longer(TimeSpan pause) => pause + pause < options.ArbiterRetryLast ? pause + pause : options.ArbiterRetryLast;
}
