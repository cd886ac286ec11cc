using Colo.Blocks;

namespace Colo.Replication;

/// <summary>
/// Has the next pair of buffers ready before it is needed, and drops the old one behind the checkpoint's back: what makes a checkpoint
/// O(1). Owns every pair that is not in use.
/// </summary>
internal sealed class EpochPairs(IEpochStore store, long lengthBytes, ErrorLatch errors)
{
    private long nextEpoch = 1;
    private Task<EpochBuffers>? prepared;
    private Task dropping = Task.CompletedTask;

    /// <summary>The record, and the pair it names, adopted; null where that pair is not there or does not count.</summary>
    public async ValueTask<(EpochRecord Record, EpochBuffers? Adopted)> OpenAsync()
    {
        EpochRecord record = await store.ReadAsync();
        nextEpoch = record.Epoch + 1;
        bool counts = record.Phase is EpochPhase.Replicating or EpochPhase.Committing or EpochPhase.FillingOverOlder;
        EpochOverlays? pair = await store.OpenAsync(counts ? record.Epoch : 0);
        EpochBuffers? adopted = pair is null ? null : await EpochBuffers.AdoptAsync(pair);
        if (adopted is not null)
        {
            RequireLength(adopted);
        }

        if (record.Phase is EpochPhase.Replicating or EpochPhase.FillingOverOlder)
        {
            prepared = PrepareAsync(nextEpoch);
        }

        return (record, adopted);
    }

    /// <summary>The next pair, fresh; waits where it is not ready yet. Error 6 is latched where it cannot be made.</summary>
    public async ValueTask<EpochBuffers> TakeAsync()
    {
        prepared ??= PrepareAsync(nextEpoch);
        try
        {
            EpochBuffers fresh = await prepared;
            RequireLength(fresh);
            return fresh;
        }
        catch (Exception e) when (e is IOException or BlockIoException or UnauthorizedAccessException)
        {
            prepared = null;
            throw Failed($"fresh buffers cannot be made: {e.Message}", e);
        }
    }

    public async ValueTask RequireEmptiableAsync(EpochBuffers fresh)
    {
        BlockStatus hidden = await fresh.Hidden.MakeEmptyAsync();
        BlockStatus active = await fresh.Active.MakeEmptyAsync();
        if (hidden != BlockStatus.Ok || active != BlockStatus.Ok)
        {
            throw Failed($"hidden or active disk cannot be emptied ({hidden}, {active})", inner: null);
        }
    }

    /// <param name="record">From now on the one that a restart finds.</param>
    /// <param name="taken">The fresh pair that it names and that the caller owns from now on; null where it names the present one.</param>
    /// <exception cref="ReplicationException">it was not recorded; error 6 is latched, and the pair is still the next one.</exception>
    public async ValueTask CommitAsync(EpochRecord record, EpochBuffers? taken)
    {
        try
        {
            await store.CommitAsync(record);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw Failed($"epoch {record.Epoch} ({record.Phase}) cannot be recorded: {e.Message}", e);
        }

        if (taken is not null)
        {
            prepared = null;
            nextEpoch = taken.Pair.Epoch + 1;
        }
    }

    /// <summary>As <see cref="CommitAsync"/> of the present pair; false where it was not recorded.</summary>
    public async ValueTask<bool> TryCommitAsync(EpochRecord record)
    {
        try
        {
            await CommitAsync(record, taken: null);
            return true;
        }
        catch (ReplicationException)
        {
            return false;
        }
    }

    public void Drop(EpochBuffers? old)
    {
        if (old is not null)
        {
            dropping = DropAsync(dropping, old);
        }
    }

    public void DropAndPrepare(EpochBuffers? old, long epoch)
    {
        Drop(old);
        nextEpoch = epoch;
        prepared = PrepareAsync(epoch);
    }

    /// <summary>Closes what is open; the files stay for the next process to adopt or remove.</summary>
    public async ValueTask DisposeAsync(EpochBuffers? inUse)
    {
        await dropping.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        if (prepared is not null)
        {
            await ((Task)prepared).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            if (prepared.IsCompletedSuccessfully)
            {
                await CloseAsync(await prepared);
            }
        }

        if (inUse is not null)
        {
            await CloseAsync(inUse);
        }
    }

    private static async ValueTask CloseAsync(EpochBuffers buffers)
    {
        await buffers.Hidden.DisposeAsync();
        await buffers.Active.DisposeAsync();
    }

    private Task<EpochBuffers> PrepareAsync(long epoch) =>
        Task.Run(async () => EpochBuffers.Fresh(await store.PrepareAsync(epoch)));

    private async Task DropAsync(Task before, EpochBuffers old)
    {
        await before.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        await Task.Yield();
        try
        {
            await store.DiscardAsync(old.Pair);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // Its space stays taken until the next process removes it: not a reason to fail a checkpoint that has happened.
            errors.Report(ReplicationError.MakeEmpty, BlockStatus.IoError, $"the buffers of epoch {old.Pair.Epoch} cannot be removed: {e.Message}");
        }
    }

    private void RequireLength(EpochBuffers buffers)
    {
        if (buffers.Hidden.LengthBytes != lengthBytes || buffers.Active.LengthBytes != lengthBytes)
        {
            throw new ReplicationException(
                ReplicationFault.Mismatch,
                $"secondary disk {lengthBytes} bytes, hidden disk {buffers.Hidden.LengthBytes}, active disk {buffers.Active.LengthBytes}: they must be equal");
        }
    }

    private ReplicationException Failed(string message, Exception? inner) => new(
        ReplicationFault.Failed, message, errors.Report(ReplicationError.MakeEmpty, BlockStatus.IoError, message), inner);
}
