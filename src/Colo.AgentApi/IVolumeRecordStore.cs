namespace Colo.AgentApi;

/// <summary>How a compare-and-swap ended; <see cref="Current"/> is what the store holds now, null where it holds no record.</summary>
public readonly record struct RecordChange(bool Done, VolumeRecord? Current);

/// <summary>
/// Where the record of one volume is kept. Every read is of what was last written anywhere, never of a cache; every change is
/// compare-and-swap, and of two writers that expect the same record exactly one gets it done. Safe for calls from several threads.
/// </summary>
/// <remarks>An <see cref="IOException"/> (nobody answers) or <see cref="InvalidDataException"/> (what is there is no record of this volume)
/// is "no answer": the caller keeps holding, it never guesses. A change that ended so may have been done all the same; the next read
/// tells. Both within a bounded time.</remarks>
public interface IVolumeRecordStore
{
    /// <summary>Where the record lies, for messages.</summary>
    string Location { get; }

    /// <summary>The record as last written; null where there is none.</summary>
    Task<VolumeRecord?> ReadAsync(CancellationToken token);

    /// <summary>Writes the first record of a volume, as revision 1; not done where one exists.</summary>
    Task<RecordChange> TryCreateAsync(VolumeRecord first, CancellationToken token);

    /// <summary>Replaces <paramref name="expected"/> by <paramref name="next"/>, as the revision after it; not done where the record has
    /// changed since.</summary>
    /// <exception cref="ArgumentException"><paramref name="next"/> is of another volume or of a lower term.</exception>
    Task<RecordChange> TryReplaceAsync(VolumeRecord expected, VolumeRecord next, CancellationToken token);

    /// <summary>Forgets the record; a success where there is none.</summary>
    Task DeleteAsync(CancellationToken token);
}
