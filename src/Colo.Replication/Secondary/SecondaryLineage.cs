using Colo.Blocks;

namespace Colo.Replication;

/// <summary>
/// What a secondary knows and tells of its content's lineage. A write that its primary did not announce makes it forget all of it: whoever
/// keeps no lineage (QEMU, an older agent) must not be taken for one that does. Calls are the owner's, one at a time.
/// </summary>
internal sealed class SecondaryLineage(ReplicaLineage? lineage, IBlockDevice disk, SecondaryStack stack)
{
    /// <summary>The disk is of one known moment: worth keeping while it is filled anew.</summary>
    public bool IsOfOneMoment => lineage?.Record is { Current.IsNone: false, Target.IsNone: true };

    public LineageReport? Report() => lineage?.Report();

    /// <summary>A primary is to come: it must say what its writes make of this disk.</summary>
    public void ExpectAnnouncement() => stack.IsUnannounced = lineage is not null;

    public async ValueTask AnnounceAsync(LineageAnnouncement announcement)
    {
        if (lineage is null || stack.Serve != SecondaryServe.Replicating || !stack.Terms.IsCurrent(announcement.Term))
        {
            throw new ReplicationException(ReplicationFault.WrongState, "an announcement is for a started secondary of the same term");
        }

        await lineage.AnnouncedAsync(announcement);
        stack.IsUnannounced = false;
    }

    /// <summary>False where it cannot be stored: the write must not happen.</summary>
    public async ValueTask<bool> TryForgetAsync()
    {
        try
        {
            await (lineage?.ForgetAsync() ?? ValueTask.CompletedTask);
            stack.IsUnannounced = false;
            return true;
        }
        catch (IOException)
        {
            return false;
        }
    }

    /// <summary>The end of a resync, where one ran: its content is durable on this disk, and is called by its new name.</summary>
    public async ValueTask FilledAsync()
    {
        if (!IsMixture)
        {
            return;
        }

        BlockStatus flushed = await disk.FlushAsync();
        if (flushed != BlockStatus.Ok)
        {
            throw new ReplicationException(ReplicationFault.Failed, $"the filled disk cannot be flushed: {flushed}");
        }

        try
        {
            await lineage!.FilledAsync();
        }
        catch (IOException e)
        {
            throw new ReplicationException(ReplicationFault.Failed, $"the lineage cannot be stored: {e.Message}", inner: e);
        }
    }

    /// <param name="fromBuffers">To what the buffers keep (LastCheckpoint), which a filling leaves as it was.</param>
    /// <exception cref="ReplicationException">the disk holds parts of two moments, or the buffers keep none.</exception>
    public void RequirePromotable(bool fromBuffers)
    {
        if ((stack.IsFilling || IsMixture) && !(fromBuffers && stack.HasView))
        {
            throw new ReplicationException(
                ReplicationFault.WrongState,
                "the secondary disk is being filled: it must not be promoted"
                + (stack.HasView ? "; LastCheckpoint gives back what it held before" : string.Empty));
        }

        if (fromBuffers && !stack.HasView)
        {
            throw new ReplicationException(
                ReplicationFault.WrongState, "there is no last checkpoint: its buffers were lost; LatestWrite is what the disk holds");
        }
    }

    /// <summary>Before the buffers are committed: the disk goes back to what they hold, which no other replica's map knows.</summary>
    public ValueTask RollBackAsync(EpochBuffers kept) =>
        lineage?.RollBackAsync(kept.Copied.SetRanges().Concat(kept.Written.SetRanges())) ?? ValueTask.CompletedTask;

    /// <summary>The disk holds parts of two moments.</summary>
    private bool IsMixture => lineage?.Record is { Target.IsNone: false };
}
