using Colo.Blocks;

namespace Colo.Replication;

/// <summary>
/// Attaches a secondary: refuses one that does not fit, records Syncing before the first byte of a copy, switches to Replicating at
/// a moment without writes in flight, and records InSync, now or at the end of the resync.
/// </summary>
internal sealed class SecondaryAttach(
    PrimaryTerm term,
    AttachedSecondary secondary,
    GoingAlone goingAlone,
    Resync resync,
    ResyncChoice choice,
    Quorum quorum,
    RequestGate gate,
    ServeSwitch serve,
    ErrorLatch errors,
    ReplicaLineage? lineage,
    OwnedTasks tasks,
    TimeProvider time)
{
    /// <summary>Returns when writes are forwarded. The link stays the caller's where it throws.</summary>
    public async Task<Attachment> ForwardToAsync(IReplicationLink link, ResyncMode mode, CancellationToken token)
    {
        RequireFit(link);
        await WaitUntilAloneOrWaitingAsync(token);
        ResyncDecision decision = await choice.DecideAsync(link, mode, token);
        LineageAnnouncement? announcement = await BeginAttachAsync(link, decision);
        if (decision.Mode is ResyncMode.Full or ResyncMode.Bitmap)
        {
            // Before the first byte: a half-filled secondary must never look like one that can be promoted.
            await term.RecordAsync(link.PeerNode, SecondaryState.Syncing, token);
        }

        if (announcement is not null && decision.Peer is not null)
        {
            await link.AnnounceAsync(announcement, token);
            await NoteAsync(lineage!.AnnouncedToPeerAsync());
        }

        Attachment added = new(link, decision, quorum.Local.LengthBytes, lineage);
        await SwitchToReplicatingAsync(added, token);
        return added;
    }

    /// <summary>Records InSync, or begins the resync that ends with it.</summary>
    public async Task BringInSyncAsync(Attachment added, CancellationToken token)
    {
        tasks.Own(WatchAsync(added));
        if (added.Mode == ResyncMode.None)
        {
            // After the switch: from there on every acknowledged write is on both.
            await (lineage?.TryEndAsync(added.Number) ?? new(true));
            await RecordInSyncAsync(added, token);
        }
        else
        {
            resync.Start(added);
        }
    }

    private void RequireFit(IReplicationLink link)
    {
        IBlockDevice local = quorum.Local;
        if (link.LengthBytes != local.LengthBytes)
        {
            throw new ReplicationException(
                ReplicationFault.Mismatch,
                $"the secondary disk has {link.LengthBytes} bytes, the primary disk {local.LengthBytes}");
        }

        if (link.Capabilities.IsReadOnly || link.Capabilities.MinimumBlockBytes > local.Capabilities.MinimumBlockBytes)
        {
            throw new ReplicationException(
                ReplicationFault.Mismatch,
                $"the secondary disk is read-only, or takes only multiples of {link.Capabilities.MinimumBlockBytes} bytes");
        }
    }

    private async Task WaitUntilAloneOrWaitingAsync(CancellationToken token)
    {
        while (true)
        {
            Task changed = serve.Changed;
            switch (serve.State)
            {
                case ServeState.Alone or ServeState.Waiting:
                    return;
                case ServeState.Replicating:
                    throw new ReplicationException(
                        ReplicationFault.WrongState, "a secondary is attached: there is exactly one, detach it first");
                case ServeState.Fenced or ServeState.Closed:
                    throw new ReplicationException(ReplicationFault.Superseded, serve.Reason);
            }

            await changed.WaitAsync(token);
        }
    }

    /// <summary>The map, and whose it is, before the secondary hears of it: whatever happens in between, too much is copied.</summary>
    private async Task<LineageAnnouncement?> BeginAttachAsync(IReplicationLink link, ResyncDecision decision)
    {
        try
        {
            return lineage is null ? null : await lineage.BeginAttachAsync(decision.Plan, term.Node, link.PeerNode, decision.Peer);
        }
        catch (IOException e)
        {
            throw NotStored(e);
        }
    }

    private static async Task NoteAsync(ValueTask noted)
    {
        try
        {
            await noted;
        }
        catch (IOException e)
        {
            throw NotStored(e);
        }
    }

    private static ReplicationException NotStored(IOException e) =>
        new(ReplicationFault.Failed, $"the lineage cannot be stored: {e.Message}", inner: e);

    /// <summary>No write may be under way to the local disk alone when the first one is forwarded: the copier would miss it.</summary>
    private async Task SwitchToReplicatingAsync(Attachment added, CancellationToken token)
    {
        gate.Hold();
        try
        {
            await gate.DrainAsync().WaitAsync(token);
            if (added.Mode == ResyncMode.None)
            {
                choice.RequireNothingWritten();
            }

            secondary.Add(added);
            if (added.Mode != ResyncMode.None)
            {
                resync.Prepare(added);
            }

            if (!serve.TryChange([ServeState.Alone, ServeState.Waiting], ServeState.Replicating, $"with {added.Link.PeerNode}"))
            {
                secondary.TakeBack();
                if (added.Mode != ResyncMode.None)
                {
                    resync.Abandon(serve.Reason);
                }

                throw new ReplicationException(ReplicationFault.WrongState, $"{serve.State} meanwhile: {serve.Reason}");
            }
        }
        finally
        {
            gate.Release();
        }
    }

    /// <summary>Notices a lost link also where nothing is written.</summary>
    private async Task WatchAsync(Attachment watched)
    {
        Task<string> lost = watched.Link.Lost;
        Task stopped = Task.Delay(Timeout.InfiniteTimeSpan, time, watched.Stopped);
        if (await Task.WhenAny(lost, stopped) == lost && ReferenceEquals(secondary.Current, watched))
        {
            string reason = lost.IsCompletedSuccessfully ? await lost : "the link failed";
            goingAlone.ForwardFailed($"the link to {watched.Link.PeerNode} is lost: {reason}", BlockStatus.IoError);
        }
    }

    private async Task RecordInSyncAsync(Attachment added, CancellationToken token)
    {
        using CancellationTokenSource either = CancellationTokenSource.CreateLinkedTokenSource(token, added.Stopped);
        try
        {
            await term.RecordAsync(added.Link.PeerNode, SecondaryState.InSync, either.Token);
        }
        catch (OperationCanceledException) when (added.Stopped.IsCancellationRequested)
        {
            throw new ReplicationException(
                ReplicationFault.Failed, $"the secondary was lost while it was attached: {serve.Reason}", errors.First);
        }
    }
}
