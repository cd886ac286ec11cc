namespace Colo.Simulation.Checks;

/// <summary>How often each fault was injected and each transition was made: what was never exercised was never tested.</summary>
internal sealed class Coverage
{
    private readonly SortedDictionary<string, long> counts = new(StringComparer.Ordinal);

    public IReadOnlyDictionary<string, long> Counts => counts;

    /// <summary>Told of each count: some faults wait for their moment.</summary>
    public Action<string, long>? Counted { get; set; }

    public void Count(string what)
    {
        counts[what] = counts.GetValueOrDefault(what) + 1;
        Counted?.Invoke(what, counts[what]);
    }

    public void Add(Coverage other)
    {
        foreach ((string what, long count) in other.counts)
        {
            counts[what] = counts.GetValueOrDefault(what) + count;
        }
    }
}
