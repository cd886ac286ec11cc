namespace Colo.Linux;

/// <summary>What is wrong with a state file.</summary>
public enum StateFileError
{
    /// <summary>It could not be read or written.</summary>
    Io,

    /// <summary>Length or checksum is wrong: a torn write or bit rot.</summary>
    Torn,

    /// <summary>A state file, but not of this kind.</summary>
    WrongKind,

    /// <summary>Written by a newer program.</summary>
    UnknownVersion,

    /// <summary>Older than what is known to have been written.</summary>
    RolledBack,
}

/// <summary>A state file cannot be trusted (or not be written). It is never guessed at, and never overwritten by itself.</summary>
public sealed class StateFileException(StateFileError error, string path, string cause, Exception? inner = null)
    : IOException($"{path}: {cause}", inner)
{
    public StateFileError Error { get; } = error;

    public string Path { get; } = path;
}
