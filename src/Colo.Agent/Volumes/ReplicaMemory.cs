using Colo.Replication;

namespace Colo.Agent.Volumes;

/// <summary>
/// What one replica remembers, in memory and on disk: every change is durable before <see cref="Update"/> returns, whoever makes it
/// (calls, the replica's term guard, the end of a failover). It is the node's term store for the volume.
/// </summary>
public sealed class ReplicaMemory(string path) : ITermStore
{
    private readonly Lock guard = new();
    private readonly StoredReplicaFile file = new(path);
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
            file.Write(first);
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
