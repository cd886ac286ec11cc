namespace Colo.Replication;

public enum ArbiterOutcome
{
    /// <summary>The update is recorded; <see cref="ArbiterAnswer.Record"/> is the record with its new revision.</summary>
    Updated,

    /// <summary>Somebody changed the record before; <see cref="ArbiterAnswer.Record"/> is what it is now.</summary>
    Conflict,

    /// <summary>No answer. The update may or may not have been recorded: read, or try again and learn it from the conflict.</summary>
    Unavailable,
}

public readonly record struct ArbiterAnswer(ArbiterOutcome Outcome, VolumeRecord? Record)
{
    public static ArbiterAnswer Unavailable => new(ArbiterOutcome.Unavailable, null);

    public static ArbiterAnswer Updated(VolumeRecord record) => new(ArbiterOutcome.Updated, record);

    public static ArbiterAnswer Conflict(VolumeRecord current) => new(ArbiterOutcome.Conflict, current);
}

/// <summary>
/// Where the truth about volumes is kept, and the only judge of who may write: Kubernetes, a file, a simulation. It decides by
/// compare-and-swap alone; no clock takes part.
/// </summary>
/// <remarks>Implementations answer <see cref="ArbiterOutcome.Unavailable"/> rather than throw, whatever the way to the truth does.</remarks>
public interface IArbiter
{
    /// <summary>The record as it is now (linearizable: never an older one than an update already answered); null where there is no
    /// answer.</summary>
    ValueTask<VolumeRecord?> ReadAsync(VolumeUid volume, CancellationToken token);

    /// <summary>Replaces <paramref name="expected"/> (its revision counts) by <paramref name="next"/>.</summary>
    ValueTask<ArbiterAnswer> TryUpdateAsync(VolumeRecord expected, VolumeRecord next, CancellationToken token);
}
