using Colo.Replication;

namespace Colo.Agent.Volumes;

/// <summary>
/// What one replica remembers, in memory and on disk: every change is durable before <see cref="Update"/> returns, whoever makes it
/// (calls, the replica's term guard, the end of a failover). It is the node's term store for the volume.
/// </summary>
/// <param name="path">Of the state file.</param>
/// <param name="witnesses">Where the count of its writes is noted as well, in memory and beside it: an old copy of the state that is put back
/// is told from the newest by it. None: nowhere.</param>
public sealed class ReplicaMemory(string path, IReadOnlyList<string>? witnesses = null) : ITermStore
{
    private readonly Lock guard = new();
    private readonly StoredReplicaFile file = new(path, witnesses);
    private volatile StoredReplica? current;

    /// <summary>null where nothing is remembered.</summary>
    public StoredReplica? Known => current;

    public StoredReplica Current => current ?? throw new InvalidOperationException($"{path}: nothing is remembered yet");

    /// <summary>Reads what a former process left.</summary>
    public StoredReplica? Load()
    {
        lock (guard)
        {
            return current = file.Read();
        }
    }

    public void Begin(StoredReplica first)
    {
        lock (guard)
        {
            file.Begin(first);
            current = first;
        }
    }

    public void Update(Func<StoredReplica, StoredReplica> change)
    {
        lock (guard)
        {
            StoredReplica next = change(Current);
            if (next != current)
            {
                file.Write(next);
                current = next;
            }
        }
    }

    /// <summary>The files are gone.</summary>
    public void Forget() => current = null;

    public ValueTask<Term> ReadAsync() => new(Known is { HighestTerm: > 0 } known ? new Term(known.HighestTerm) : Term.None);

    public ValueTask WriteAsync(Term term)
    {
        Update(known => term.Value > known.HighestTerm ? known with { HighestTerm = term.Value } : known);
        return ValueTask.CompletedTask;
    }
}
