using Colo.Agent.Volumes;
using Colo.Replication;
using Colo.Simulation.Engine;
using Colo.Simulation.World;

namespace Colo.Simulation.Agents;

/// <summary>As the agent's ReplicaMemory: what one replica remembers, durable before an update returns.</summary>
internal sealed class SimMemory(SimProcess process, Machine machine) : ITermStore
{
    private StoredReplica? current;

    public StoredReplica? Known => current;

    public StoredReplica Current => current ?? throw new InvalidOperationException("nothing is remembered yet");

    public StoredReplica? Load() => current = machine.IsStateRotten
        ? throw new VolumeFaultException(VolumeFaultKind.Damaged, "the replica's state is damaged: its checksum is wrong")
        : machine.State;

    public void Begin(StoredReplica first) => Store(first);

    public void Update(Func<StoredReplica, StoredReplica> change) => Store(change(Current));

    public void Forget()
    {
        if (!process.IsDead)
        {
            (machine.State, machine.IsStateRotten) = (null, false);
        }

        current = null;
    }

    public ValueTask<Term> ReadAsync() => new(Known is { HighestTerm: > 0 } known ? new Term(known.HighestTerm) : Term.None);

    public ValueTask WriteAsync(Term term)
    {
        Update(known => term.Value > known.HighestTerm ? known with { HighestTerm = term.Value } : known);
        return ValueTask.CompletedTask;
    }

    private void Store(StoredReplica next)
    {
        if (process.IsDead)
        {
            throw new ProcessKilledException();
        }

        current = next;
        machine.State = next;
    }
}
