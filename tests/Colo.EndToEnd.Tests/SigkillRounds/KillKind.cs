namespace Colo.EndToEnd.Tests.SigkillRounds;

/// <summary>What a round does to the agents.</summary>
internal enum KillKind
{
    Primary,
    Secondary,

    /// <summary>One shortly after the other, in either order.</summary>
    Both,

    /// <summary>Either of them, while checkpoints follow each other.</summary>
    DuringCheckpoint,

    /// <summary>The secondary, and while it is being filled again either of them.</summary>
    DuringResync,

    /// <summary>The primary, and its successor as soon as the record names it.</summary>
    RightAfterFailover,
}
