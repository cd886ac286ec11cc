using Colo.Blocks;

namespace Colo.Replication;

/// <summary>What the secondary side gives to whom.</summary>
internal enum SecondaryServe
{
    /// <summary>Nothing yet, or no more.</summary>
    Nothing,

    /// <summary>The primary's forwards and the secondary VM.</summary>
    Replicating,

    /// <summary>Promoted: the guest, from the buffers and the disk.</summary>
    Committing,

    /// <summary>Promoted: the guest, from the disk.</summary>
    Promoted,
}

/// <summary>
/// The disks of a secondary and how requests go through them now. <see cref="SecondaryReplica"/> changes it, only with the gate held and
/// drained; the three devices that are made of it enter the gate for each request.
/// </summary>
internal sealed class SecondaryStack(
    IBlockDevice disk, BufferPolicy policy, TermGuard terms, ErrorLatch errors, TimeProvider time, IReplicationObserver observer)
{
    private EpochBuffers? buffers;
    private LatchedError? forwardFailure;
    private int serve;

    public IBlockDevice Disk { get; } = disk;

    public RequestGate Gate { get; } = new();

    public TermGuard Terms { get; } = terms;

    public CopyBeforeWrite CopyBeforeWrite { get; } = new(disk, policy, errors, observer);

    public ActiveDisk View { get; } = new(disk, errors);

    public EpochBuffers? Buffers
    {
        get => Volatile.Read(ref buffers);
        set => Volatile.Write(ref buffers, value);
    }

    public SecondaryServe Serve
    {
        get => (SecondaryServe)Volatile.Read(ref serve);
        set => Volatile.Write(ref serve, (int)value);
    }

    /// <summary>The secondary disk is being filled: not promotable.</summary>
    public bool IsFilling { get; set; }

    /// <summary>The buffers over the disk are the last checkpoint; where they are not, nothing is copied before a write.</summary>
    public bool HasView { get; set; }

    /// <summary>The primary has not said what its writes make of this disk: whoever keeps a lineage forgets it at the first of them.</summary>
    public bool IsUnannounced { get; set; }

    public FailoverCommit? Commit { get; set; }

    /// <summary>The first forward of this epoch that was not applied: the epoch can no more be closed.</summary>
    public LatchedError? ForwardFailure => Volatile.Read(ref forwardFailure);

    public void ForgetForwardFailure() => Volatile.Write(ref forwardFailure, null);

    public BlockStatus ForwardFailed(ReplicationError number, BlockStatus status, string message)
    {
        LatchedError error = new(number, status, message, time.GetUtcNow());
        Interlocked.CompareExchange(ref forwardFailure, error, null);
        errors.Report(number, status, message);
        return status;
    }

    /// <summary>For a forward whose copy was refused (and latched) by <see cref="CopyBeforeWrite"/>.</summary>
    public void CopyFailed() => Interlocked.CompareExchange(ref forwardFailure, errors.First, null);

    public bool HasRoom(EpochBuffers current, long bytes) => current.AllocatedBytes + bytes <= policy.LimitBytes;

    /// <summary>At the limit, with the gate left: true where the epoch has ended and there is room again.</summary>
    public async ValueTask<bool> WaitForRoomAsync(EpochBuffers full)
    {
        if (policy.OnFull == BufferFullPolicy.Detach)
        {
            return false;
        }

        if (full.TellFull())
        {
            observer.CheckpointWanted(CheckpointReason.BufferFull);
        }

        try
        {
            await full.Ended.Task.WaitAsync(policy.Patience, time);
            return true;
        }
        catch (TimeoutException)
        {
            return false;
        }
    }
}
