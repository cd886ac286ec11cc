namespace Colo.Replication;

/// <summary>What the arbiter knows of a volume's secondary.</summary>
public enum SecondaryState
{
    /// <summary>There is none.</summary>
    None,

    /// <summary>Is being filled; must not be promoted.</summary>
    Syncing,

    /// <summary>Holds every acknowledged write; may be promoted.</summary>
    InSync,

    /// <summary>Misses acknowledged writes; must not be promoted.</summary>
    Stale,
}

/// <summary>The truth about one volume. Changed only by compare-and-swap through <see cref="IArbiter"/>; compared by its revision.</summary>
/// <param name="Uid">Of the volume.</param>
/// <param name="Term">Never falls.</param>
/// <param name="Primary">Node name of the one who may write under <paramref name="Term"/>.</param>
/// <param name="Secondary">Node name; empty where there is none.</param>
/// <param name="SecondaryState">Whether the secondary may be promoted.</param>
/// <param name="Revision">Opaque to all but the arbiter: what compare-and-swap compares (a Kubernetes resourceVersion, a counter).</param>
public sealed record VolumeRecord(
    VolumeUid Uid, Term Term, string Primary, string Secondary, SecondaryState SecondaryState, long Revision);
