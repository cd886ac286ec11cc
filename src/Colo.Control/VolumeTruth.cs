using Colo.Api;

namespace Colo.Control;

/// <summary>
/// The arbiter's record as decisions see it: who may write under which term, and whether the second copy may take over. Changed
/// by compare-and-swap only; a decision never assumes that its change won.
/// </summary>
/// <param name="Term">1 or more; rises with each change of primary.</param>
/// <param name="Secondary">Empty where there is none.</param>
public sealed record VolumeTruth(long Term, string Primary, string Secondary, SecondaryState SecondaryState)
{
    /// <summary>The record of a takeover by the present secondary. The other copy misses what is written from then on.</summary>
    public VolumeTruth TakenOver() => new(Term + 1, Secondary, Primary, SecondaryState.Stale);
}
