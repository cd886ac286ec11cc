using Colo.Blocks;
using Colo.Linux;
using Colo.Replication;
using Api = Colo.AgentApi;

namespace Colo.Agent.Volumes;

/// <summary>
/// What lies under a primary: the bare disk, or a secondary that was promoted and serves while its buffer is being committed. Owns both.
/// </summary>
public sealed class PrimaryBase : IAsyncDisposable
{
    private readonly RawFile disk;
    private readonly SecondaryReplica? promoted;
    private readonly Term term;
    private readonly RecoveryPoint recoveryPoint;
    private readonly Func<ValueTask> disposeMore;

    private PrimaryBase(RawFile disk, SecondaryReplica? promoted, Term term, RecoveryPoint recoveryPoint, Func<ValueTask> disposeMore) =>
        (this.disk, this.promoted, this.term, this.recoveryPoint, this.disposeMore) = (disk, promoted, term, recoveryPoint, disposeMore);

    /// <summary>Of the disk; every flush fails after it, until the disk is opened anew.</summary>
    public BlockStatus FlushFailure => disk.FlushFailure;

    public IBlockDevice Device => promoted?.ServingDevice ?? (IBlockDevice)disk;

    public static PrimaryBase Disk(RawFile disk) => new(disk, null, default, default, () => ValueTask.CompletedTask);

    /// <summary>Over a secondary that was stopped with failover; the end of its commit is remembered, so that a restart starts from the
    /// disk alone.</summary>
    public static PrimaryBase Promoted(
        RawFile disk, SecondaryReplica replica, ReplicaMemory memory, ILogger log, Func<ValueTask> disposeMore)
    {
        ReplicaSpec spec = memory.Current.Spec;
        PrimaryBase below = new(disk, replica, new(spec.Term), ApiMapping.ToReplica(spec.RecoveryPoint), disposeMore);
        below.Committing = below.RememberAsync(memory, log);
        return below;
    }

    private Task Committing { get; set; } = Task.CompletedTask;

    /// <summary>Failover is not over yet: what the status says of it.</summary>
    public Api.ReplicaState? State => promoted?.State switch
    {
        ReplicationState.Failover => Api.ReplicaState.FailingOver,
        ReplicationState.FailoverFailed => Api.ReplicaState.FailoverFailed,
        _ => null,
    };

    /// <summary>Commits again where a commit failed; otherwise does nothing, and says so by false.</summary>
    public async Task<bool> RetryAsync(ReplicaMemory memory, ILogger log)
    {
        if (promoted is not { State: ReplicationState.FailoverFailed } replica)
        {
            return false;
        }

        await replica.StopAsync(term, failover: true, recoveryPoint);
        Committing = RememberAsync(memory, log);
        return true;
    }

    public async ValueTask DisposeAsync()
    {
        if (promoted is not null)
        {
            await promoted.DisposeAsync();
            await Committing;
        }

        await disposeMore();
        await disk.FlushAsync();
        await disk.DisposeAsync();
    }

    private async Task RememberAsync(ReplicaMemory memory, ILogger log)
    {
        if (await promoted!.CommitCompletion)
        {
            memory.Update(known => known.Spec.Term == term.Value ? known with { Promoting = false } : known);
        }
        else if (promoted.State == ReplicationState.FailoverFailed)
        {
            log.CommitFailed(memory.Current.Spec.Uid, term.Value);
        }
    }
}
