namespace Colo.Linux;

/// <summary>How a cached read is tried.</summary>
internal enum ReadPath
{
    /// <summary>preadv2 with RWF_NOWAIT, then a worker.</summary>
    TryCached,

    /// <summary>The file lives in memory (tmpfs): a plain pread does not wait. Only swapped-out pages make it.</summary>
    InMemory,

    /// <summary>The file system knows no RWF_NOWAIT: every read goes to a worker.</summary>
    Worker,

    /// <summary>O_DIRECT: everything goes to a worker.</summary>
    Direct,
}

/// <summary>What was found out about a file when it was opened.</summary>
internal sealed record FileFacts(
    string Path,
    bool IsBlockDevice,
    bool IsReadOnly,
    ReadPath ReadPath,
    long LengthBytes,
    int LogicalBlockBytes,
    int MemoryAlignmentBytes,
    int PreferredBlockBytes,
    bool CanPunchHoles);
