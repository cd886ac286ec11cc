using Colo.Blocks;

namespace Colo.Replication;

/// <summary>
/// Closes the epoch on both sides: in order behind the forwards where the link carries checkpoints, otherwise by draining the writes in
/// flight and holding new ones. One at a time: the callers see to it.
/// </summary>
internal sealed class PrimaryCheckpoint(
    AttachedSecondary secondary,
    RequestGate gate,
    ServeSwitch serve,
    ErrorLatch errors,
    TimeProvider time,
    IReplicationObserver observer)
{
    private long sentAt;

    /// <summary>The open one.</summary>
    public long Epoch { get; private set; } = 1;

    public CheckpointReport? Last { get; private set; }

    /// <summary>How long the secondary has not answered the one that was sent; zero where there is none.</summary>
    public TimeSpan UnansweredFor()
    {
        long sent = Volatile.Read(ref sentAt);
        return sent == 0 ? TimeSpan.Zero : time.GetElapsedTime(sent);
    }

    public async Task<CheckpointReport> CloseEpochAsync(CancellationToken token)
    {
        Attachment? with = secondary.Current;
        if (serve.State != ServeState.Replicating || with is null)
        {
            throw Failed($"there is no secondary ({serve.State}: {serve.Reason})");
        }

        if (!with.IsReadable)
        {
            throw Failed("the secondary is being filled");
        }

        return await CloseEpochAsync(with, token);
    }

    /// <summary>Also of a secondary that is being filled: the end of its resync is a checkpoint.</summary>
    public async Task<CheckpointReport> CloseEpochAsync(Attachment with, CancellationToken token)
    {
        long begun = time.GetTimestamp();
        LatchedError? before = errors.First;
        TimeSpan pause = TimeSpan.Zero;
        BlockStatus status;
        if (with.Link.CarriesCheckpoints)
        {
            status = await SendAsync(with);
        }
        else
        {
            gate.Hold();
            try
            {
                await DrainOrFailAsync(with, token);
                status = await SendAsync(with);
            }
            finally
            {
                gate.Release();
                pause = time.GetElapsedTime(begun);
            }
        }

        if (status != BlockStatus.Ok)
        {
            throw Failed(with.Link.CheckpointFailure ?? $"the secondary answered {status}");
        }

        CheckpointReport report = new(Epoch, pause, time.GetElapsedTime(begun), time.GetUtcNow());
        Epoch++;
        Last = report;
        errors.ClearIf(before);
        observer.Checkpointed(report);
        return report;
    }

    /// <summary>Writes in flight whose forward has failed are held, and would never drain: the checkpoint ends then.</summary>
    private async Task DrainOrFailAsync(Attachment with, CancellationToken token)
    {
        using CancellationTokenSource either = CancellationTokenSource.CreateLinkedTokenSource(token, with.Stopped);
        try
        {
            await gate.DrainAsync().WaitAsync(either.Token);
        }
        catch (OperationCanceledException) when (with.Stopped.IsCancellationRequested)
        {
            throw Failed(serve.Reason);
        }

        if (serve.State != ServeState.Replicating)
        {
            throw Failed(serve.Reason);
        }
    }

    private async Task<BlockStatus> SendAsync(Attachment with)
    {
        Volatile.Write(ref sentAt, time.GetTimestamp());
        try
        {
            return await with.Link.CheckpointAsync(Epoch);
        }
        finally
        {
            Volatile.Write(ref sentAt, 0);
        }
    }

    private ReplicationException Failed(string reason) => new(
        ReplicationFault.CheckpointFailed,
        $"the checkpoint of epoch {Epoch} failed: {reason}" + (errors.First is { } error ? $"; {error}" : string.Empty),
        errors.First);
}
