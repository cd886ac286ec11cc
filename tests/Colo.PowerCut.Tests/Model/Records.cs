namespace Colo.PowerCut.Tests;

public enum ChangeKind
{
    Write,
    Zero,

    /// <summary>The file's length becomes Offset.</summary>
    SetLength,
}

/// <summary>A change of a file's content. Durable from the step where a sync that began after its end has ended; a disk may have it, or any
/// sectors of it, from the step where it begins.</summary>
public sealed record FileChange(ChangeKind Kind, long Offset, long Length, byte[] Data, int Begin, int End)
{
    public int DurableFrom { get; set; } = SystemCall.Never;
}

/// <summary>A file or directory, whatever its names are.</summary>
public sealed class Inode(int number, bool isDirectory)
{
    public int Number { get; } = number;

    public bool IsDirectory { get; } = isDirectory;

    public List<FileChange> Changes { get; } = [];

    /// <summary>When its content was last changed, as the recorded process itself saw it (statx), by step.</summary>
    public List<(int Step, long Nanoseconds)> ChangedTimes { get; } = [];
}

/// <summary>What a name leads to from some step on; null where it was removed.</summary>
public sealed record NameVersion(Inode? Target, int Begin, int End)
{
    public int DurableFrom { get; set; } = SystemCall.Never;
}

/// <summary>A step at which a sync began (what it is asked to keep is not yet safe), or ended (it is).</summary>
/// <param name="Step">Of the recording.</param>
/// <param name="IsEnd">It ended there, with success.</param>
/// <param name="Path">Of the file or directory that was synced.</param>
public sealed record FlushPoint(int Step, bool IsEnd, string Path);
