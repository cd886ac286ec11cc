namespace Colo.Replication.Tests.Kit;

public sealed class MemoryTermStore : ITermStore
{
    public Term Stored { get; private set; }

    public bool Fails { get; set; }

    public ValueTask<Term> ReadAsync() => new(Stored);

    public ValueTask WriteAsync(Term term)
    {
        if (Fails)
        {
            throw new IOException("the term cannot be stored");
        }

        Stored = term;
        return ValueTask.CompletedTask;
    }
}
