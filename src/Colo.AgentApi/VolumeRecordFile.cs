using System.Diagnostics;
using System.Text.Json;

namespace Colo.AgentApi;

/// <summary>
/// The embedded arbiter's truth: one JSON file a volume, in a directory that both agents and the control plane of one machine see.
/// Changes are compare-and-swap under a file lock (temp file, fsync, rename, fsync), so that a reader sees the old or the new record,
/// never half of one, and exactly one of two writers wins. Holds no state of its own: make one wherever it is needed.
/// </summary>
/// <remarks>What is in the file is checked by <see cref="SealedJson"/>. Failures of the file system are an <see cref="IOException"/>; content that is no record is an <see cref="InvalidDataException"/>.
/// Both mean "no answer": the caller keeps holding, it never guesses.</remarks>
public sealed class VolumeRecordFile : IVolumeRecordStore
{
    private const int MaxRecordBytes = 64 << 10;
    private const int MaxUidLength = 63;

    /// <summary>The lock is held for a few fsyncs; whoever holds it for longer hangs, and waiting on would hide that.</summary>
    private static readonly TimeSpan LockBound = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan LockRetry = TimeSpan.FromMilliseconds(5);

    private readonly string directory;
    private readonly string uid;

    public VolumeRecordFile(string directory, string uid)
    {
        ArgumentException.ThrowIfNullOrEmpty(directory);
        ValidateUid(uid);
        this.directory = directory;
        this.uid = uid;
        Path = System.IO.Path.Combine(directory, uid + ".json");
    }

    public string Path { get; }

    public string Location => Path;

    /// <summary>A UID names files, sockets and exports: 1-63 of [a-z0-9-].</summary>
    /// <exception cref="ArgumentException">it is anything else.</exception>
    public static void ValidateUid(string uid)
    {
        ArgumentNullException.ThrowIfNull(uid);
        if (uid.Length is 0 or > MaxUidLength || uid.AsSpan().ContainsAnyExcept("abcdefghijklmnopqrstuvwxyz0123456789-"))
        {
            throw new ArgumentException($"volume uid: 1-{MaxUidLength} of [a-z0-9-], not '{uid}'", nameof(uid));
        }
    }

    /// <summary>UIDs of all volumes with a record in <paramref name="directory"/>; none where it does not exist.</summary>
    public static IReadOnlyList<string> List(string directory) =>
        Directory.Exists(directory)
            ? [.. Directory.EnumerateFiles(directory, "*.json").Select(System.IO.Path.GetFileNameWithoutExtension).Order(StringComparer.Ordinal)!]
            : [];

    /// <summary>The record as last written; null where there is none.</summary>
    public VolumeRecord? Read()
    {
        byte[] content;
        try
        {
            // No sharing restriction: .NET would take an advisory lock for one, and a reader must never stand in a writer's way.
            using FileStream file = new(Path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete, bufferSize: 0);
            if (file.Length > MaxRecordBytes)
            {
                throw new InvalidDataException($"{Path}: {file.Length} bytes, at most {MaxRecordBytes}");
            }

            content = new byte[file.Length];
            file.ReadExactly(content);
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            return null;
        }

        return Parse(content);
    }

    /// <summary>Writes the first record of a volume; not done where one exists.</summary>
    public RecordChange TryCreate(VolumeRecord first)
    {
        ArgumentNullException.ThrowIfNull(first);
        Directory.CreateDirectory(directory);
        using FileStream held = Lock();
        return Read() is { } current ? new(false, current) : Write(first with { Revision = 1 });
    }

    /// <summary>
    /// Replaces <paramref name="expected"/> (its revision counts) by <paramref name="next"/>; not done where the record has changed since.
    /// </summary>
    /// <exception cref="ArgumentException"><paramref name="next"/> is of another volume or of a lower term.</exception>
    public RecordChange TryReplace(VolumeRecord expected, VolumeRecord next)
    {
        ArgumentNullException.ThrowIfNull(expected);
        ArgumentNullException.ThrowIfNull(next);
        if (next.Uid != uid || next.Term < expected.Term)
        {
            throw new ArgumentException($"{next.Uid} term {next.Term} cannot follow {uid} term {expected.Term}", nameof(next));
        }

        using FileStream held = Lock();
        VolumeRecord? current = Read();
        return current is null || current.Revision != expected.Revision
            ? new(false, current)
            : Write(next with { Revision = expected.Revision + 1 });
    }

    /// <summary>Forgets the volume. The lock file stays: removing it would let two writers hold two locks.</summary>
    public void Delete()
    {
        if (Directory.Exists(directory))
        {
            using FileStream held = Lock();
            File.Delete(Path);
        }
    }

    // Off the caller's thread: the lock may be waited for, and what is written is synchronised to the disk.
    Task<VolumeRecord?> IVolumeRecordStore.ReadAsync(CancellationToken token) => Task.Run(() => Answered(Read), token);

    Task<RecordChange> IVolumeRecordStore.TryCreateAsync(VolumeRecord first, CancellationToken token) =>
        Task.Run(() => Answered(() => TryCreate(first)), token);

    Task<RecordChange> IVolumeRecordStore.TryReplaceAsync(VolumeRecord expected, VolumeRecord next, CancellationToken token) =>
        Task.Run(() => Answered(() => TryReplace(expected, next)), token);

    Task IVolumeRecordStore.DeleteAsync(CancellationToken token) => Task.Run(
        () => Answered(() =>
        {
            Delete();
            return true;
        }),
        token);

    /// <summary>A directory without permission is no answer, too.</summary>
    private static T Answered<T>(Func<T> call)
    {
        try
        {
            return call();
        }
        catch (UnauthorizedAccessException e)
        {
            throw new IOException(e.Message, e);
        }
    }

    private RecordChange Write(VolumeRecord changed)
    {
        // Through the constructor: a with-expression can reach a state that no reader would accept.
        VolumeRecord record =
            new(changed.Uid, changed.Term, changed.Primary, changed.Secondary, changed.SecondaryState, changed.Revision);
        string temporary = Path + ".tmp";
        using (FileStream file = new(temporary, FileMode.Create, FileAccess.Write, FileShare.ReadWrite | FileShare.Delete, bufferSize: 0))
        {
            file.Write(SealedJson.Seal(JsonSerializer.SerializeToUtf8Bytes(record, VolumeRecordJson.Default.VolumeRecord)));
            file.Flush(flushToDisk: true);
            File.Move(temporary, Path, overwrite: true);

            // The rename changed this inode too: on journaling file systems its fsync makes the rename durable as well.
            file.Flush(flushToDisk: true);
        }

        return new(true, record);
    }

    private VolumeRecord Parse(byte[] content)
    {
        try
        {
            SealedJson.Require(content, Path);
            VolumeRecord record = JsonSerializer.Deserialize(content, VolumeRecordJson.Default.VolumeRecord)
                ?? throw new InvalidDataException($"{Path}: null is no record");
            return record.Uid == uid ? record : throw new InvalidDataException($"{Path}: holds the record of volume {record.Uid}");
        }
        catch (Exception e) when (e is JsonException or ArgumentException)
        {
            throw new InvalidDataException($"{Path}: {e.Message}", e);
        }
    }

    /// <summary>An exclusive flock, which the kernel frees when its holder dies.</summary>
    private FileStream Lock()
    {
        string path = System.IO.Path.Combine(directory, uid + ".lock");
        long start = Stopwatch.GetTimestamp();
        while (true)
        {
            try
            {
                return new FileStream(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None, bufferSize: 0);
            }
            catch (IOException e) when (e is not DirectoryNotFoundException && Stopwatch.GetElapsedTime(start) < LockBound)
            {
                Thread.Sleep(LockRetry);
            }
        }
    }
}
