namespace Colo.Qcow2.Check;

/// <summary>What a check may change.</summary>
public enum Qcow2Repair
{
    None,

    /// <summary>Lowers refcounts that are too high.</summary>
    Leaks,
}

/// <summary>
/// The outcome of a check. A leak wastes space; a corruption (a refcount too low, a wrong COPIED bit, two owners of one cluster)
/// loses data at the next write.
/// </summary>
/// <param name="Messages">The first hundred findings, with offsets.</param>
public sealed record Qcow2CheckReport(
    int Corruptions, int Leaks, int LeaksRepaired, long MappedClusters, long ImageEndOffset, IReadOnlyList<string> Messages)
{
    public bool IsClean => Corruptions == 0 && Leaks == LeaksRepaired;
}
