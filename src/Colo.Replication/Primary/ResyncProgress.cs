namespace Colo.Replication;

/// <summary>How a secondary is brought in sync when it is attached.</summary>
public enum ResyncMode
{
    /// <summary>Both replicas are known to be equal (both new, or in sync since before): nothing is copied.</summary>
    None,

    /// <summary>The record says Syncing until everything was copied.</summary>
    Full,

    /// <summary>After an unclean restart of a primary whose record says InSync: the record stays so, and what was in flight at the crash
    /// is made equal in the background. See README.md, "After a crash".</summary>
    Recopy,

    /// <summary>As the lineages of both say: nothing, what differs, or everything. An unknown lineage is refused.</summary>
    Auto,

    /// <summary>As Auto, for a secondary that the record says is in sync: refused (NeedsResync) where it is not.</summary>
    Rejoin,

    /// <summary>What the maps and activity logs of both sides say; never asked for, but what Auto may come to.</summary>
    Bitmap,
}

public enum ResyncState
{
    Copying,
    Completed,
    Interrupted,
}

/// <summary>How far a resync is.</summary>
/// <param name="State">Running, or how it ended.</param>
/// <param name="Mode">How much of the device is to be copied.</param>
/// <param name="DoneBytes">Copied, in disk order.</param>
/// <param name="TotalBytes">To be copied: what differs, or the device.</param>
/// <param name="ZeroBytes">Of what is done: sent as zeroes rather than data.</param>
/// <param name="BytesPerSecond">Since the start.</param>
/// <param name="Started">When.</param>
/// <param name="EstimatedFinish">At the present speed; null before there is one.</param>
/// <param name="Failure">Why it was interrupted.</param>
public sealed record ResyncProgress(
    ResyncState State,
    ResyncMode Mode,
    long DoneBytes,
    long TotalBytes,
    long ZeroBytes,
    long BytesPerSecond,
    DateTimeOffset Started,
    DateTimeOffset? EstimatedFinish,
    string? Failure = null);
