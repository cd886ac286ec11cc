using Colo.Blocks;

namespace Colo.Replication;

/// <summary>What the secondary's buffers mean after a restart.</summary>
public enum EpochPhase
{
    /// <summary>Nothing committed: the buffers hold nothing of worth.</summary>
    None,

    /// <summary>The secondary disk is being filled: the pair is no view of anything yet.</summary>
    Filling,

    /// <summary>As Filling, and the pair keeps what the disk held before: active over hidden over secondary disk is that older content.</summary>
    FillingOverOlder,

    /// <summary>The secondary disk is complete, but the pair was lost with its machine: there is no last checkpoint until the next one.</summary>
    Viewless,

    /// <summary>The pair belongs to the open epoch: active over hidden over secondary disk is the last checkpoint.</summary>
    Replicating,

    /// <summary>Promoted with LastCheckpoint: the pair must be committed into the secondary disk (again, from the start).</summary>
    Committing,

    /// <summary>The secondary disk alone is the truth.</summary>
    Done,
}

/// <summary>The one small fact that says which pair counts.</summary>
/// <param name="Epoch">The open epoch: the one that the next checkpoint closes. 1 or more, 0 with <see cref="EpochPhase.None"/>.</param>
/// <param name="Phase">What the pair of that epoch means.</param>
public sealed record EpochRecord(long Epoch, EpochPhase Phase)
{
    public static EpochRecord None { get; } = new(0, EpochPhase.None);
}

/// <summary>The hidden and the active disk of one epoch; both empty when prepared, both of the secondary disk's length.</summary>
public sealed record EpochOverlays(long Epoch, IOverlayDevice Hidden, IOverlayDevice Active);

/// <summary>
/// Makes, finds and forgets pairs of overlays, and keeps the <see cref="EpochRecord"/>. Calls never overlap, except that
/// <see cref="PrepareAsync"/> and <see cref="DiscardAsync"/> run beside the others. Failures are exceptions (IOException).
/// </summary>
public interface IEpochStore
{
    /// <summary>The record as last committed; <see cref="EpochRecord.None"/> where there is none.</summary>
    ValueTask<EpochRecord> ReadAsync();

    /// <summary>Opens the pair of an epoch with its content; null where it is not there (any more), and for epoch 0. Removes the pairs of
    /// all other epochs. Called once, first.</summary>
    ValueTask<EpochOverlays?> OpenAsync(long epoch);

    /// <summary>A fresh, empty pair; what an earlier try left under that number is removed. May take its time.</summary>
    ValueTask<EpochOverlays> PrepareAsync(long epoch);

    /// <summary>Makes <paramref name="record"/> the one that a restart finds. One small step (a rename): it is inside the checkpoint's
    /// pause. It must survive SIGKILL; surviving the machine is not asked, because the pair does not.</summary>
    ValueTask CommitAsync(EpochRecord record);

    /// <summary>Closes a pair and removes its files; called when no request uses it any more.</summary>
    ValueTask DiscardAsync(EpochOverlays pair);
}
