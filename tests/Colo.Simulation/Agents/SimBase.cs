using Colo.AgentApi;
using Colo.Blocks;
using Colo.Replication;
using ReplicationState = Colo.Replication.ReplicationState;

namespace Colo.Simulation.Agents;

/// <summary>As the agent's PrimaryBase: the bare disk, or a secondary that was promoted and serves while it commits its buffer.</summary>
internal sealed class SimBase
{
    private readonly IBlockDevice disk;
    private readonly SecondaryReplica? promoted;
    private readonly Term term;
    private readonly Replication.RecoveryPoint point;
    private Task committing = Task.CompletedTask;

    private SimBase(IBlockDevice disk, SecondaryReplica? promoted, Term term, Replication.RecoveryPoint point) =>
        (this.disk, this.promoted, this.term, this.point) = (disk, promoted, term, point);

    public IBlockDevice Device => promoted?.ServingDevice ?? disk;

    public ReplicaState? State => promoted?.State switch
    {
        ReplicationState.Failover => ReplicaState.FailingOver,
        ReplicationState.FailoverFailed => ReplicaState.FailoverFailed,
        _ => null,
    };

    public static SimBase Disk(IBlockDevice disk) => new(disk, null, default, default);

    public static SimBase Promoted(IBlockDevice disk, SecondaryReplica replica, SimMemory memory)
    {
        SimBase below = new(disk, replica, new(memory.Current.Spec.Term), SimMapping.ToReplica(memory.Current.Spec.RecoveryPoint));
        below.committing = below.RememberAsync(memory);
        return below;
    }

    public async Task<bool> RetryAsync(SimMemory memory)
    {
        if (promoted is not { State: ReplicationState.FailoverFailed } replica)
        {
            return false;
        }

        await replica.StopAsync(term, failover: true, point);
        committing = RememberAsync(memory);
        return true;
    }

    public async ValueTask DisposeAsync()
    {
        if (promoted is not null)
        {
            await promoted.DisposeAsync();
            await committing;
        }

        await disk.FlushAsync();
    }

    private async Task RememberAsync(SimMemory memory)
    {
        if (await promoted!.CommitCompletion)
        {
            memory.Update(known => known.Spec.Term == term.Value ? known with { Promoting = false } : known);
        }
    }
}
