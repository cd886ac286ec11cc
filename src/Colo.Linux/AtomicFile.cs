using System.Buffers.Binary;
using System.Text;
using Colo.Blocks;

namespace Colo.Linux;

/// <summary>
/// A small state file (terms, generation IDs) that is replaced whole or not at all: written beside it, synced, renamed over it (the one
/// commit point), its directory synced. When a write has returned, its content survives a power cut.
/// </summary>
/// <remarks>
/// <para>Header (little-endian, 36 bytes): magic "COLOATOM", format version (16 bits), content version less one (16 bits), kind,
/// sequence, content length, CRC-32C of all before and of the content. A read takes no byte on trust:
/// <see cref="StateFileException"/> says what is wrong. What cannot be looked at is never taken for "nothing there".</para>
/// <para>The content version is the owner's: raised when an older program could misread what it writes. An older program refuses a newer
/// content by name; a newer one is told which version it reads.</para>
/// <para>The sequence rises with every write. A file put back from an old backup has a sequence below what its reader knows from
/// elsewhere (or has seen through this object): RolledBack.</para>
/// <para>One writer: the owner of the replica's lock. Calls on one object are serialised; each blocks for two syncs.</para>
/// </remarks>
public sealed class AtomicFile
{
    /// <summary>State, not data: what is larger does not belong here, and a hostile length is never allocated.</summary>
    public const int MaxContentBytes = 16 << 20;

    private const ulong Magic = 0x4d4f54414f4c4f43;
    private const ushort FormatVersion = 1;
    private const int ContentVersionAt = 10;
    private const int SequenceAt = 20;
    private const int LengthAt = 28;
    private const int ChecksumAt = 32;
    private const int HeaderBytes = 36;

    private readonly Lock gate = new();
    private readonly ulong kind;
    private readonly int contentVersion;
    private readonly Func<ReadOnlyMemory<byte>, byte[]?>? older;
    private long highestSeen;

    /// <param name="path">Its directory exists.</param>
    /// <param name="kind">What it holds, at most 8 ASCII characters: a file of another kind is refused.</param>
    /// <param name="contentVersion">1 or more: the version that is written, and the highest that is read.</param>
    /// <param name="older">Makes content of version 1 of a file from before it had header and checksum, null where it is none either; such
    /// a file is rewritten by the first read.</param>
    public AtomicFile(string path, string kind, int contentVersion = 1, Func<ReadOnlyMemory<byte>, byte[]?>? older = null)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(contentVersion, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(contentVersion, ushort.MaxValue);
        Path = System.IO.Path.GetFullPath(path);
        this.contentVersion = contentVersion;
        this.older = older;
        byte[] ascii = Encoding.ASCII.GetBytes(kind);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(ascii.Length, sizeof(ulong), nameof(kind));
        Span<byte> padded = stackalloc byte[sizeof(ulong)];
        ascii.CopyTo(padded);
        this.kind = BinaryPrimitives.ReadUInt64LittleEndian(padded);
    }

    public string Path { get; }

    /// <exception cref="StateFileException">nobody can tell.</exception>
    public bool Exists => ReadBytes() is not null;

    /// <summary>Replaces the content; returns its sequence.</summary>
    /// <param name="content">All of it.</param>
    /// <param name="syncName">False spares the sync of the directory: after a power cut it may be this content or the one before, each
    /// whole.</param>
    /// <exception cref="StateFileException">the file that is there is unreadable (it is not overwritten), or the write failed
    /// (the old content stands, or the new one that is not known to be durable).</exception>
    public long Write(ReadOnlySpan<byte> content, bool syncName = true)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(content.Length, MaxContentBytes, nameof(content));
        lock (gate)
        {
            return WriteUnderGate(content, Math.Max(highestSeen, ReadUnderGate(0)?.Sequence ?? 0) + 1, syncName);
        }
    }

    /// <summary>Removes the file, also an unreadable one; durable when it returns. A success where there is none.</summary>
    /// <exception cref="StateFileException">it could not be removed.</exception>
    public void Delete()
    {
        lock (gate)
        {
            highestSeen = 0;
            try
            {
                File.Delete(Temporary);
                File.Delete(Path);
            }
            catch (DirectoryNotFoundException)
            {
                return;
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                throw new StateFileException(StateFileError.Io, Path, $"cannot be removed: {e.Message}", e);
            }

            SyncDirectory("is removed");
        }
    }

    /// <summary>Reads the content; null where there is no file.</summary>
    /// <param name="minimumSequence">What the caller knows to have been written.</param>
    /// <exception cref="StateFileException">torn, of another kind, of a newer version, or rolled back.</exception>
    public AtomicFileContent? Read(long minimumSequence = 0)
    {
        lock (gate)
        {
            long known = Math.Max(minimumSequence, highestSeen);
            if (ReadUnderGate(known) is { } content)
            {
                highestSeen = content.Sequence;
                return content;
            }

            return known == 0
                ? null
                : throw new StateFileException(StateFileError.RolledBack, Path, $"is gone; sequence {known} had been written");
        }
    }

    private string Temporary => Path + ".new";

    /// <summary>Null only where the kernel says that there is no such file.</summary>
    private AtomicFileContent? ReadUnderGate(long minimumSequence)
    {
        if (ReadBytes() is not { } file)
        {
            return null;
        }

        if (file.Length < HeaderBytes || BinaryPrimitives.ReadUInt64LittleEndian(file) != Magic)
        {
            return ReadOlder(file, minimumSequence)
                ?? throw new StateFileException(StateFileError.Torn, Path, $"does not begin as a state file ({file.Length} bytes)");
        }

        // Of a newer format not even the place of the checksum is known.
        int version = BinaryPrimitives.ReadUInt16LittleEndian(file.AsSpan(8));
        if (version != FormatVersion)
        {
            throw new StateFileException(StateFileError.UnknownVersion, Path, $"has format version {version}; {FormatVersion} is known");
        }

        int length = BinaryPrimitives.ReadInt32LittleEndian(file.AsSpan(LengthAt));
        if (length != file.Length - HeaderBytes || Checksum(file) != BinaryPrimitives.ReadUInt32LittleEndian(file.AsSpan(ChecksumAt)))
        {
            throw new StateFileException(StateFileError.Torn, Path, "its length or checksum is wrong");
        }

        if (BinaryPrimitives.ReadUInt64LittleEndian(file.AsSpan(12)) != kind)
        {
            throw new StateFileException(StateFileError.WrongKind, Path, "holds state of another kind");
        }

        int written = BinaryPrimitives.ReadUInt16LittleEndian(file.AsSpan(ContentVersionAt)) + 1;
        if (written > contentVersion)
        {
            throw new StateFileException(
                StateFileError.UnknownVersion, Path, $"was written by a newer program (content version {written}; {contentVersion} is known)");
        }

        long sequence = BinaryPrimitives.ReadInt64LittleEndian(file.AsSpan(SequenceAt));
        return sequence >= minimumSequence
            ? new AtomicFileContent(sequence, file.AsMemory(HeaderBytes), written)
            : throw new StateFileException(
                StateFileError.RolledBack, Path, $"has sequence {sequence}; {minimumSequence} had been written: an old copy was put back");
    }

    private AtomicFileContent? ReadOlder(byte[] file, long minimumSequence)
    {
        // Where a file with a header is known to have been, one without is no older program's.
        if (minimumSequence > 0 || older?.Invoke(file) is not { } content)
        {
            return null;
        }

        Replace(Compose(content, sequence: 1, version: 1));
        SyncDirectory("is rewritten");
        return new AtomicFileContent(1, content, 1);
    }

    private long WriteUnderGate(ReadOnlySpan<byte> content, long sequence, bool syncName)
    {
        Replace(Compose(content, sequence, contentVersion));

        // Before the sync: whoever tries again after a failed one must not write the same number with another content.
        highestSeen = sequence;
        if (syncName)
        {
            SyncDirectory("is written");
        }

        return sequence;
    }

    private byte[]? ReadBytes()
    {
        try
        {
            // No sharing restriction: .NET would take an advisory lock for one.
            using FileStream file = new(Path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete, bufferSize: 0);
            if (file.Length > HeaderBytes + MaxContentBytes)
            {
                throw new StateFileException(StateFileError.Torn, Path, $"is {file.Length} bytes long");
            }

            byte[] content = new byte[file.Length];
            file.ReadExactly(content);
            return content;
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            return null;
        }
        catch (Exception e) when (e is (IOException or UnauthorizedAccessException) and not StateFileException)
        {
            throw new StateFileException(StateFileError.Io, Path, $"cannot be read: {e.Message}", e);
        }
    }

    private byte[] Compose(ReadOnlySpan<byte> content, long sequence, int version)
    {
        byte[] file = new byte[HeaderBytes + content.Length];
        BinaryPrimitives.WriteUInt64LittleEndian(file, Magic);
        BinaryPrimitives.WriteUInt16LittleEndian(file.AsSpan(8), FormatVersion);
        BinaryPrimitives.WriteUInt16LittleEndian(file.AsSpan(ContentVersionAt), (ushort)(version - 1));
        BinaryPrimitives.WriteUInt64LittleEndian(file.AsSpan(12), kind);
        BinaryPrimitives.WriteInt64LittleEndian(file.AsSpan(SequenceAt), sequence);
        BinaryPrimitives.WriteInt32LittleEndian(file.AsSpan(LengthAt), content.Length);
        content.CopyTo(file.AsSpan(HeaderBytes));
        BinaryPrimitives.WriteUInt32LittleEndian(file.AsSpan(ChecksumAt), Checksum(file));
        return file;
    }

    private void Replace(byte[] file)
    {
        // One name: what a crash leaves behind is overwritten by the next write, and never read.
        try
        {
            using (Microsoft.Win32.SafeHandles.SafeFileHandle handle = File.OpenHandle(Temporary, FileMode.Create, FileAccess.Write))
            {
                RandomAccess.Write(handle, file, 0);
                RandomAccess.FlushToDisk(handle);
            }

            File.Move(Temporary, Path, overwrite: true);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new StateFileException(StateFileError.Io, Path, $"cannot be written: {e.Message}", e);
        }
    }

    private void SyncDirectory(string done)
    {
        BlockStatus status = Directories.Sync(System.IO.Path.GetDirectoryName(Path)!);
        if (status != BlockStatus.Ok)
        {
            throw new StateFileException(StateFileError.Io, Path, $"{done}, but its directory cannot be synced: {status}");
        }
    }

    private static uint Checksum(ReadOnlySpan<byte> file) => Crc32C.Of(file[..ChecksumAt], file[HeaderBytes..]);
}

/// <summary>What a read found.</summary>
/// <param name="Sequence">Counts the writes.</param>
/// <param name="Bytes">The content.</param>
/// <param name="Version">Of the content, as its writer said; never above what the reader knows.</param>
public sealed record AtomicFileContent(long Sequence, ReadOnlyMemory<byte> Bytes, int Version);
