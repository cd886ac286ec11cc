using System.Buffers.Binary;
using Colo.Blocks;
using Colo.Linux;

namespace Colo.Agent.Volumes;

/// <summary>How far a lineage had come: its record, and its activity log.</summary>
/// <param name="Writes">Of the record.</param>
/// <param name="Activity">The number of the activity log's last write.</param>
internal readonly record struct LineageProgress(long Writes, long Activity);

/// <summary>
/// Notes, in a file of its own beside record and map, how far both have come: one of them that is put back from an old copy is behind it. A
/// note is made after what it speaks of is durable, behind its writer's back, so it is never ahead, and behind by one note at most.
/// </summary>
/// <remarks>Two slots of one sector each, written in turn; little-endian: magic "COLOSEEN", version, number, writes, activity, CRC-32C. A note
/// that cannot be written leaves it behind: less is recognised then, and nothing is refused wrongly.</remarks>
internal sealed class LineageWitness : IAsyncDisposable
{
    private const ulong Magic = 0x4e4545534f4c4f43;
    private const int CurrentVersion = 1;
    private const int SlotBytes = 512;
    private const int ChecksumAt = 40;
    private const int NoteBytes = ChecksumAt + sizeof(uint);

    private readonly Lock gate = new();
    private readonly RawFile file;
    private long number;
    private LineageProgress? pending;
    private bool isWriting;
    private Task noting = Task.CompletedTask;

    private LineageWitness(RawFile file) => this.file = file;

    /// <summary>As the last note says; zeroes where there is none.</summary>
    public LineageProgress Seen { get; private set; }

    /// <summary>Made where it is not there: an older agent kept none.</summary>
    /// <exception cref="StateFileException">torn, or of a newer version.</exception>
    /// <exception cref="IOException">it cannot be opened, or read.</exception>
    public static async Task<LineageWitness> OpenAsync(string path)
    {
        if (File.Exists(path) && new FileInfo(path).Length == 0)
        {
            // Cut off while it was made.
            File.Delete(path);
        }

        RawFileOptions options = new() { MaxWorkers = 1 };
        LineageWitness witness = new(File.Exists(path) ? RawFile.Open(path, options) : RawFile.Create(path, 2 * SlotBytes, options: options));
        try
        {
            await witness.ReadAsync(path);
            return witness;
        }
        catch
        {
            await witness.DisposeAsync();
            throw;
        }
    }

    /// <summary>Returns at once. Only the newest of several that wait is written.</summary>
    public void Note(LineageProgress progress)
    {
        lock (gate)
        {
            pending = progress;
            if (!isWriting)
            {
                isWriting = true;
                noting = Task.Run(WriteAsync);
            }
        }
    }

    /// <summary>When it returns, what was noted before is written, or cannot be.</summary>
    public async Task SettleAsync()
    {
        Task present;
        lock (gate)
        {
            present = noting;
        }

        await present;
    }

    public async ValueTask DisposeAsync()
    {
        await SettleAsync();
        await file.DisposeAsync();
    }

    private async Task ReadAsync(string path)
    {
        byte[] slots = new byte[2 * SlotBytes];
        if (file.LengthBytes != slots.Length)
        {
            throw new StateFileException(StateFileError.Torn, path, $"has {file.LengthBytes} bytes, not {slots.Length}");
        }

        BlockStatus status = await file.ReadAsync(0, slots);
        if (status != BlockStatus.Ok)
        {
            throw new StateFileException(StateFileError.Io, path, $"cannot be read: {status}");
        }

        // With a blank slot it is a new one, which its first note may have left torn.
        bool isWhole = slots.AsSpan(0, SlotBytes).IsAllZero() || slots.AsSpan(SlotBytes).IsAllZero();
        for (int slot = 0; slot < 2; slot++)
        {
            ReadOnlySpan<byte> bytes = slots.AsSpan(slot * SlotBytes, NoteBytes);
            if (BinaryPrimitives.ReadUInt64LittleEndian(bytes) != Magic
                || Crc32C.Of(bytes[..ChecksumAt]) != BinaryPrimitives.ReadUInt32LittleEndian(bytes[ChecksumAt..]))
            {
                continue;
            }

            long version = BinaryPrimitives.ReadInt64LittleEndian(bytes[8..]);
            if (version != CurrentVersion)
            {
                throw new StateFileException(StateFileError.UnknownVersion, path, $"has version {version}; {CurrentVersion} is known");
            }

            isWhole = true;
            if (BinaryPrimitives.ReadInt64LittleEndian(bytes[16..]) is var found && found > number)
            {
                number = found;
                Seen = new(BinaryPrimitives.ReadInt64LittleEndian(bytes[24..]), BinaryPrimitives.ReadInt64LittleEndian(bytes[32..]));
            }
        }

        if (!isWhole)
        {
            throw new StateFileException(StateFileError.Torn, path, "neither of its notes is whole");
        }
    }

    private async Task WriteAsync()
    {
        while (true)
        {
            LineageProgress progress;
            lock (gate)
            {
                if (pending is not { } next)
                {
                    // Under the lock: a note that comes before this task has ended begins another.
                    isWriting = false;
                    return;
                }

                (progress, pending) = (next, null);
            }

            number++;
            byte[] note = new byte[NoteBytes];
            BinaryPrimitives.WriteUInt64LittleEndian(note, Magic);
            BinaryPrimitives.WriteInt64LittleEndian(note.AsSpan(8), CurrentVersion);
            BinaryPrimitives.WriteInt64LittleEndian(note.AsSpan(16), number);
            BinaryPrimitives.WriteInt64LittleEndian(note.AsSpan(24), progress.Writes);
            BinaryPrimitives.WriteInt64LittleEndian(note.AsSpan(32), progress.Activity);
            BinaryPrimitives.WriteUInt32LittleEndian(note.AsSpan(ChecksumAt), Crc32C.Of(note.AsSpan(0, ChecksumAt)));
            await file.WriteAsync(number % 2 * SlotBytes, note, RequestFlags.ForceUnitAccess);
        }
    }
}
