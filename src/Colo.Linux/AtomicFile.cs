using System.Buffers.Binary;
using System.Numerics;
using System.Text;
using Colo.Blocks;

namespace Colo.Linux;

/// <summary>
/// A small state file (terms, generation IDs) that is replaced whole or not at all: written beside it, synced, renamed over it, its
/// directory synced. When a write has returned, its content survives a power cut.
/// </summary>
/// <remarks>
/// <para>Header (little-endian, 36 bytes): magic "COLOATOM", format version, kind, sequence, content length, CRC-32C of all
/// before and of the content. A read takes no byte on trust: <see cref="StateFileException"/> says what is wrong.</para>
/// <para>The sequence rises with every write. A file put back from an old backup has a sequence below what its reader knows from
/// elsewhere (or has seen through this object): RolledBack.</para>
/// <para>One writer: the owner of the replica's lock. Calls on one object are serialised; each blocks for two syncs.</para>
/// </remarks>
public sealed class AtomicFile
{
    /// <summary>State, not data: what is larger does not belong here, and a hostile length is never allocated.</summary>
    public const int MaxContentBytes = 16 << 20;

    private const ulong Magic = 0x4d4f54414f4c4f43;
    private const int FormatVersion = 1;
    private const int SequenceAt = 20;
    private const int LengthAt = 28;
    private const int ChecksumAt = 32;
    private const int HeaderBytes = 36;

    private readonly Lock gate = new();
    private readonly ulong kind;
    private long highestSeen;

    /// <param name="path">Its directory exists.</param>
    /// <param name="kind">What it holds, at most 8 ASCII characters: a file of another kind is refused.</param>
    public AtomicFile(string path, string kind)
    {
        Path = System.IO.Path.GetFullPath(path);
        byte[] ascii = Encoding.ASCII.GetBytes(kind);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(ascii.Length, sizeof(ulong), nameof(kind));
        Span<byte> padded = stackalloc byte[sizeof(ulong)];
        ascii.CopyTo(padded);
        this.kind = BinaryPrimitives.ReadUInt64LittleEndian(padded);
    }

    public string Path { get; }

    public bool Exists => File.Exists(Path);

    /// <summary>Replaces the content; returns its sequence.</summary>
    /// <exception cref="StateFileException">the file that is there is unreadable (it is not overwritten), or the write failed
    /// (the old content stands).</exception>
    public long Write(ReadOnlySpan<byte> content)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(content.Length, MaxContentBytes, nameof(content));
        lock (gate)
        {
            long sequence = Math.Max(highestSeen, Exists ? ReadUnderGate(0).Sequence : 0) + 1;
            byte[] file = Compose(content, sequence);
            Replace(file);
            highestSeen = sequence;
            return sequence;
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
            if (Exists)
            {
                AtomicFileContent content = ReadUnderGate(known);
                highestSeen = content.Sequence;
                return content;
            }

            return known == 0
                ? null
                : throw new StateFileException(StateFileError.RolledBack, Path, $"is gone; sequence {known} had been written");
        }
    }

    private AtomicFileContent ReadUnderGate(long minimumSequence)
    {
        byte[] file = ReadBytes();
        if (file.Length < HeaderBytes || BinaryPrimitives.ReadUInt64LittleEndian(file) != Magic)
        {
            throw new StateFileException(StateFileError.Torn, Path, $"does not begin as a state file ({file.Length} bytes)");
        }

        int version = BinaryPrimitives.ReadInt32LittleEndian(file.AsSpan(8));
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

        long sequence = BinaryPrimitives.ReadInt64LittleEndian(file.AsSpan(SequenceAt));
        return sequence >= minimumSequence
            ? new AtomicFileContent(sequence, file.AsMemory(HeaderBytes))
            : throw new StateFileException(
                StateFileError.RolledBack, Path, $"has sequence {sequence}; {minimumSequence} had been written: an old copy was put back");
    }

    private byte[] ReadBytes()
    {
        try
        {
            long length = new FileInfo(Path).Length;
            return length <= HeaderBytes + MaxContentBytes
                ? File.ReadAllBytes(Path)
                : throw new StateFileException(StateFileError.Torn, Path, $"is {length} bytes long");
        }
        catch (Exception e) when (e is (IOException or UnauthorizedAccessException) and not StateFileException)
        {
            throw new StateFileException(StateFileError.Io, Path, $"cannot be read: {e.Message}", e);
        }
    }

    private byte[] Compose(ReadOnlySpan<byte> content, long sequence)
    {
        byte[] file = new byte[HeaderBytes + content.Length];
        BinaryPrimitives.WriteUInt64LittleEndian(file, Magic);
        BinaryPrimitives.WriteInt32LittleEndian(file.AsSpan(8), FormatVersion);
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
        string temporary = Path + ".new";
        try
        {
            using (Microsoft.Win32.SafeHandles.SafeFileHandle handle = File.OpenHandle(temporary, FileMode.Create, FileAccess.Write))
            {
                RandomAccess.Write(handle, file, 0);
                RandomAccess.FlushToDisk(handle);
            }

            File.Move(temporary, Path, overwrite: true);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new StateFileException(StateFileError.Io, Path, $"cannot be written: {e.Message}", e);
        }

        BlockStatus status = Directories.Sync(System.IO.Path.GetDirectoryName(Path)!);
        if (status != BlockStatus.Ok)
        {
            throw new StateFileException(StateFileError.Io, Path, $"is written, but its directory cannot be synced: {status}");
        }
    }

    private static uint Checksum(ReadOnlySpan<byte> file) =>
        ~Crc32C(Crc32C(uint.MaxValue, file[..ChecksumAt]), file[HeaderBytes..]);

    private static uint Crc32C(uint crc, ReadOnlySpan<byte> bytes)
    {
        for (; bytes.Length >= sizeof(ulong); bytes = bytes[sizeof(ulong)..])
        {
            crc = BitOperations.Crc32C(crc, BinaryPrimitives.ReadUInt64LittleEndian(bytes));
        }

        foreach (byte value in bytes)
        {
            crc = BitOperations.Crc32C(crc, value);
        }

        return crc;
    }
}

/// <summary>What a read found.</summary>
public sealed record AtomicFileContent(long Sequence, ReadOnlyMemory<byte> Bytes);
