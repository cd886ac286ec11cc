namespace Colo.Replication;

/// <summary>What must be done to make a secondary equal to its primary.</summary>
public enum LineageVerdict
{
    /// <summary>The same generation: equal, except for what was in flight at a crash.</summary>
    Same,

    /// <summary>The maps of both sides hold every grain that differs.</summary>
    FromBitmap,

    /// <summary>A new disk, or an older copy since which nobody kept a map.</summary>
    Full,

    /// <summary>Nobody knows this content, or it is newer than the primary's: it is not overwritten unless somebody says so.</summary>
    Unrelated,
}

/// <param name="Verdict">What must be done.</param>
/// <param name="Reason">For people.</param>
public sealed record LineageDecision(LineageVerdict Verdict, string Reason);

/// <summary>Compares two lineages. The arbiter has decided who is primary; this decides whether that one may overwrite the other, and how
/// much of it. Unknown is never guessed at.</summary>
public static class LineageComparison
{
    public static LineageDecision Compare(LineageRecord primary, LineageRecord secondary)
    {
        if (secondary.Current.IsNone && secondary.History.Count == 0)
        {
            return new(LineageVerdict.Full, "the secondary is new");
        }

        // One that has forgotten what it is was, at least, its last generation.
        GenerationId latest = secondary.Current.IsNone ? secondary.History[0] : secondary.Current;
        if (latest != primary.Current && HasHeld(secondary, primary.Current))
        {
            return Unrelated(
                $"the secondary (generation {latest}) has gone on from this primary's generation {primary.Current}: "
                + "the primary's disk, or its state, is an older copy that was put back");
        }

        if (secondary.Current.IsNone)
        {
            return IsKnown(primary, latest)
                ? new(LineageVerdict.Full, $"the secondary was of generation {latest}, and has been written to by somebody who keeps no lineage")
                : Unknown(primary, secondary);
        }

        if (!secondary.Target.IsNone && !IsKnown(primary, secondary.Target))
        {
            return IsRelated(primary, secondary)
                ? Older(primary, secondary, $"it was being filled towards {secondary.Target}, which nobody here knows")
                : Unknown(primary, secondary);
        }

        if (secondary.Current == primary.Current)
        {
            return primary.Base.IsNone && secondary.Target.IsNone
                ? new(LineageVerdict.Same, $"both are of generation {primary.Current}")
                : new(LineageVerdict.FromBitmap, $"both are of generation {primary.Current}, and the primary has written since");
        }

        if (IsSinceBase(primary, secondary.Current))
        {
            return new(LineageVerdict.FromBitmap, $"the primary has gone on from the secondary's generation {secondary.Current}, and kept a map");
        }

        if (IsSinceBase(primary, secondary.Base))
        {
            return secondary.Term < primary.Term
                ? new(LineageVerdict.FromBitmap, $"both have gone on from generation {secondary.Base}; what the secondary wrote alone is rolled back")
                : Unrelated($"both have gone on from generation {secondary.Base} under term {secondary.Term}: that can have been only one of them");
        }

        return IsKnown(primary, secondary.Current)
            ? new(LineageVerdict.Full, $"the secondary's generation {secondary.Current} is an older one, since which no map was kept")
            : IsRelated(primary, secondary) ? Older(primary, secondary, "no map reaches back to the generation that both had")
            : Unknown(primary, secondary);
    }

    private static LineageDecision Older(LineageRecord primary, LineageRecord secondary, string why) => secondary.Term < primary.Term
        || IsKnown(primary, secondary.Current)
        ? new(LineageVerdict.Full, why)
        : Unrelated($"the secondary's generation {secondary.Current} of term {secondary.Term} is not known here; {why}");

    private static LineageDecision Unknown(LineageRecord primary, LineageRecord secondary) => Unrelated(
        $"the secondary's generation {secondary.Current} has nothing in common with this primary's {primary.Current}");

    private static LineageDecision Unrelated(string reason) => new(LineageVerdict.Unrelated, reason);

    /// <summary>The map was begun at the base and never lost a bit that was not made equal: it is good for every generation since.</summary>
    private static bool IsSinceBase(LineageRecord primary, GenerationId id)
    {
        if (id.IsNone || primary.Base.IsNone)
        {
            return false;
        }

        foreach (GenerationId former in primary.History)
        {
            if (former == id)
            {
                return true;
            }

            if (former == primary.Base)
            {
                return false;
            }
        }

        return id == primary.Base;
    }

    private static bool HasHeld(LineageRecord replica, GenerationId id) => !id.IsNone && (replica.History.Contains(id) || replica.Base == id);

    private static bool IsKnown(LineageRecord replica, GenerationId id) => !id.IsNone && (replica.Current == id || HasHeld(replica, id));

    private static bool IsRelated(LineageRecord primary, LineageRecord secondary) =>
        IsKnown(primary, secondary.Current) || IsKnown(primary, secondary.Base) || secondary.History.Any(id => IsKnown(primary, id));
}
