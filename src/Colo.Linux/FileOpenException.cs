namespace Colo.Linux;

/// <summary>Why a file could not be opened or created.</summary>
public enum FileOpenError
{
    Other,
    NotFound,
    AlreadyExists,
    AccessDenied,

    /// <summary>Another process (or this one) holds the lock.</summary>
    Locked,

    /// <summary>The kernel itself uses the block device (mounted, swap, another exclusive opener).</summary>
    Busy,

    /// <summary>Neither a regular file nor a block device.</summary>
    NotADisk,

    /// <summary>The file system refuses O_DIRECT.</summary>
    DirectIoUnsupported,

    /// <summary>The length does not fit what was asked for.</summary>
    BadLength,

    /// <summary>No space to create or preallocate it.</summary>
    NoSpace,
}

/// <summary>A file could not be opened or created; the message names the path, the cause, and what would be allowed.</summary>
public sealed class FileOpenException(FileOpenError error, string path, string cause, int? holderPid = null)
    : IOException($"{path}: {cause}")
{
    public FileOpenError Error { get; } = error;

    public string Path { get; } = path;

    /// <summary>The process that holds the lock, where it can be told.</summary>
    public int? HolderPid { get; } = holderPid;
}
