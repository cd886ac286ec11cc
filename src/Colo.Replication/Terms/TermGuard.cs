namespace Colo.Replication;

/// <summary>
/// The highest term this node has seen of a volume. Every call passes here first: a lower term is refused, a higher one is stored
/// durably before anything is done under it.
/// </summary>
internal sealed class TermGuard
{
    private readonly ITermStore store;
    private readonly SemaphoreSlim storing = new(1);
    private long seen;

    private TermGuard(ITermStore store, Term seen)
    {
        this.store = store;
        this.seen = seen.Value;
    }

    public Term Seen => Volatile.Read(ref seen) is var value and > 0 ? new Term(value) : Term.None;

    /// <summary>For the I/O path: no higher term was seen, not even one whose call is still under way.</summary>
    public bool IsCurrent(Term term) => Volatile.Read(ref seen) == term.Value;

    public static async ValueTask<TermGuard> OpenAsync(ITermStore store) => new(store, await store.ReadAsync());

    /// <summary>True where the term is new to this node.</summary>
    /// <exception cref="StaleTermException">it is lower than the highest seen.</exception>
    public async ValueTask<bool> AcceptAsync(Term term)
    {
        RefuseDefault(term);
        await storing.WaitAsync(CancellationToken.None);
        try
        {
            Refuse(term);
            if (term == Seen)
            {
                return false;
            }

            await store.WriteAsync(term);
            Volatile.Write(ref seen, term.Value);
            return true;
        }
        finally
        {
            storing.Release();
        }
    }

    /// <exception cref="StaleTermException">it is lower than the highest seen.</exception>
    public void Refuse(Term term)
    {
        RefuseDefault(term);
        if (term < Seen)
        {
            throw new StaleTermException(term, Seen);
        }
    }

    private static void RefuseDefault(Term term)
    {
        if (term == Term.None)
        {
            throw new ArgumentException("a call must carry a term", nameof(term));
        }
    }
}
