using Colo.Replication;

namespace Colo.Conformance.Tests.QemuReplication;

/// <summary>Terms that last as long as the test.</summary>
internal sealed class MemoryTermStore : ITermStore
{
    private Term term = Term.None;

    public ValueTask<Term> ReadAsync() => new(term);

    public ValueTask WriteAsync(Term term)
    {
        this.term = term;
        return ValueTask.CompletedTask;
    }
}

/// <summary>A judge in memory: compare-and-swap and nothing else.</summary>
internal sealed class MemoryArbiter(VolumeRecord first) : IArbiter
{
    private readonly Lock guard = new();
    private VolumeRecord record = first;

    public ValueTask<VolumeRecord?> ReadAsync(VolumeUid volume, CancellationToken token)
    {
        lock (guard)
        {
            return new(record);
        }
    }

    public ValueTask<ArbiterAnswer> TryUpdateAsync(VolumeRecord expected, VolumeRecord next, CancellationToken token)
    {
        lock (guard)
        {
            if (expected.Revision != record.Revision)
            {
                return new(ArbiterAnswer.Conflict(record));
            }

            record = next with { Revision = record.Revision + 1 };
            return new(ArbiterAnswer.Updated(record));
        }
    }
}
