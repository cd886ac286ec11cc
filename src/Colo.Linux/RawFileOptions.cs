namespace Colo.Linux;

/// <summary>How a <see cref="RawFile"/> is opened.</summary>
public sealed record RawFileOptions
{
    /// <summary>Writes answer NotPermitted; the lock is shared, so that any number may read.</summary>
    public bool ReadOnly { get; init; }

    /// <summary>O_DIRECT: past the page cache, straight to the disk. Every request then takes a worker.</summary>
    public bool DirectIo { get; init; }

    /// <summary>An advisory lock for as long as the file is open. Off only for a file that its owner has locked already.</summary>
    public bool Lock { get; init; } = true;

    /// <summary>Threads that wait for the disk at most; 1 to 64.</summary>
    public int MaxWorkers { get; init; } = 8;

    public static RawFileOptions Default { get; } = new();
}
