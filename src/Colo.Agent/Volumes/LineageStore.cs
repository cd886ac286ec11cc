using System.Buffers.Binary;
using System.Numerics;
using System.Text.Json;
using Colo.Blocks;
using Colo.Linux;
using Colo.Replication;

namespace Colo.Agent.Volumes;

/// <summary>
/// A replica's lineage beside its disk: lineage.state (the record, replaced whole) and lineage.map (two slots for the activity log, then the
/// bitmap). Owns the map file until it is disposed.
/// </summary>
/// <remarks>
/// Layout of lineage.map, little-endian: the slots at 4096 and 12288, each magic "COLOACTV", sequence, count, CRC-32C of what is before and
/// behind it, then the extent numbers; they are written in turn, and the one with the higher sequence that is whole counts. The bitmap
/// from 20480 on, as DirtyBitmap.CopyTo gives it, in sectors with checksums (<see cref="MapSector"/>): a lost bit would be a lost write.
/// </remarks>
public sealed class LineageStore : ILineageStore, IAsyncDisposable
{
    private const ulong SlotMagic = 0x5654434f4c4f4343;
    private const int SlotBytes = 8192;
    private const int FirstSlotAt = 4096;
    private const int GrainBytes = 4096;
    private const int HeaderBytes = 24;
    private const int ChecksumAt = 20;
    private const int MapAt = FirstSlotAt + (2 * SlotBytes);

    private readonly AtomicFile state;
    private readonly RawFile file;
    private long sequence;

    private LineageStore(AtomicFile state, RawFile file, bool hasLostMap) =>
        (this.state, this.file, HasLostMap) = (state, file, hasLostMap);

    /// <summary>There is a record, and its map was gone: nobody knows what differs.</summary>
    public bool HasLostMap { get; }

    /// <exception cref="IOException">the map file cannot be made or opened.</exception>
    public static LineageStore Open(string directory, long diskBytes)
    {
        string path = Path.Combine(directory, "lineage.map");
        long length = MapAt + Padded(MapSector.CountOf(new DirtyBitmap(diskBytes, GrainBytes).StoredBytes) * MapSector.Bytes);
        AtomicFile state = new(Path.Combine(directory, "lineage.state"), "lineage");
        bool hasLostMap = false;
        RawFile file;
        if (!state.Exists)
        {
            // Whatever a power cut left of one that was never used.
            File.Delete(path);
        }

        if (File.Exists(path) && new FileInfo(path).Length == LengthWithoutChecksums(diskBytes) && length != LengthWithoutChecksums(diskBytes))
        {
            // Of an agent whose maps had no checksums. A map that is lost costs a full copy.
            File.Delete(path);
        }

        if (File.Exists(path))
        {
            file = RawFile.Open(path);
            if (file.LengthBytes != length)
            {
                _ = file.DisposeAsync().AsTask();
                throw new StateFileException(StateFileError.Torn, path, $"has {file.LengthBytes} bytes, not {length}");
            }
        }
        else
        {
            // Its name is durable with the first record, which syncs the directory.
            hasLostMap = state.Exists;
            file = RawFile.Create(path, length);
        }

        return new(state, file, hasLostMap);
    }

    public ValueTask<LineageRecord> ReadAsync()
    {
        if (state.Read() is not { } content)
        {
            return new(LineageRecord.Empty);
        }

        try
        {
            return new(LineageJson.Read(content.Bytes.Span));
        }
        catch (JsonException e)
        {
            throw new StateFileException(StateFileError.Torn, state.Path, $"is no lineage: {e.Message}", e);
        }
    }

    public ValueTask WriteAsync(LineageRecord record)
    {
        state.Write(LineageJson.Write(record));
        return ValueTask.CompletedTask;
    }

    public async ValueTask<IReadOnlyList<int>> ReadActivityAsync()
    {
        byte[] slots = new byte[2 * SlotBytes];
        Require(await file.ReadAsync(FirstSlotAt, slots.AsMemory()), "reading the activity log");
        IReadOnlyList<int> newest = [];
        bool isBlank = slots.AsSpan().IsAllZero();
        bool isWhole = isBlank;
        for (int slot = 0; slot < 2; slot++)
        {
            ReadOnlySpan<byte> bytes = slots.AsSpan(slot * SlotBytes, SlotBytes);
            if (TryParse(bytes, out long number, out List<int> extents) && number > sequence)
            {
                (sequence, newest, isWhole) = (number, extents, true);
            }
        }

        return isWhole ? newest : throw new StateFileException(StateFileError.Torn, file.Path, "neither slot of the activity log is whole");
    }

    public async ValueTask WriteActivityAsync(IReadOnlyList<int> extents)
    {
        sequence++;
        byte[] slot = new byte[HeaderBytes + (extents.Count * sizeof(int))];
        BinaryPrimitives.WriteUInt64LittleEndian(slot, SlotMagic);
        BinaryPrimitives.WriteInt64LittleEndian(slot.AsSpan(8), sequence);
        BinaryPrimitives.WriteInt32LittleEndian(slot.AsSpan(16), extents.Count);
        for (int i = 0; i < extents.Count; i++)
        {
            BinaryPrimitives.WriteInt32LittleEndian(slot.AsSpan(HeaderBytes + (i * sizeof(int))), extents[i]);
        }

        BinaryPrimitives.WriteUInt32LittleEndian(slot.AsSpan(ChecksumAt), Checksum(slot));
        Require(
            await file.WriteAsync(FirstSlotAt + (sequence % 2 * SlotBytes), slot, RequestFlags.ForceUnitAccess), "writing the activity log");
    }

    public async ValueTask ReadMapAsync(Memory<byte> destination)
    {
        byte[] sectors = new byte[MapSector.CountOf(destination.Length) * MapSector.Bytes];
        Require(await file.ReadAsync(MapAt, sectors.AsMemory()), "reading the map");
        for (int at = 0, index = 0; at < destination.Length; at += MapSector.BitBytes, index++)
        {
            Span<byte> bits = destination.Span.Slice(at, Math.Min(MapSector.BitBytes, destination.Length - at));
            MapSector.TryRead(sectors.AsSpan(index * MapSector.Bytes, MapSector.Bytes), index, bits);
        }
    }

    public void WriteMap(long offsetBytes, ReadOnlySpan<byte> source)
    {
        long first = offsetBytes / MapSector.BitBytes;
        long last = (offsetBytes + source.Length - 1) / MapSector.BitBytes;
        byte[] sectors = new byte[(last - first + 1) * MapSector.Bytes];
        long at = MapAt + (first * MapSector.Bytes);
        Require(AtOnce(file.ReadAsync(at, sectors.AsMemory())), "reading the map");
        MapSector.Write(sectors, first, offsetBytes, source);
        Require(AtOnce(file.WriteAsync(at, sectors)), "writing the map");
    }

    public async ValueTask SyncMapAsync() => Require(await file.FlushAsync(), "syncing the map");

    public ValueTask DisposeAsync() => file.DisposeAsync();

    private static long Padded(long bytes) => (bytes + 4095) / 4096 * 4096;

    private static long LengthWithoutChecksums(long diskBytes) => MapAt + Padded(((diskBytes + GrainBytes - 1) / GrainBytes / 8) + 8);

    /// <summary>Through the page cache, which completes at once; the rest is for a file system that is slow.</summary>
    private static BlockStatus AtOnce(ValueTask<BlockStatus> done) => done.IsCompleted ? done.Result : done.AsTask().GetAwaiter().GetResult();

    private static bool TryParse(ReadOnlySpan<byte> slot, out long number, out List<int> extents)
    {
        (number, extents) = (0, []);
        int count = BinaryPrimitives.ReadInt32LittleEndian(slot[16..]);
        if (BinaryPrimitives.ReadUInt64LittleEndian(slot) != SlotMagic || count is < 0 or > ActivityLog.Capacity
            || Checksum(slot[..(HeaderBytes + (count * sizeof(int)))]) != BinaryPrimitives.ReadUInt32LittleEndian(slot[ChecksumAt..]))
        {
            return false;
        }

        number = BinaryPrimitives.ReadInt64LittleEndian(slot[8..]);
        for (int i = 0; i < count; i++)
        {
            extents.Add(BinaryPrimitives.ReadInt32LittleEndian(slot[(HeaderBytes + (i * sizeof(int)))..]));
        }

        return true;
    }

    private static uint Checksum(ReadOnlySpan<byte> slot) => ~Crc(Crc(uint.MaxValue, slot[..ChecksumAt]), slot[HeaderBytes..]);

    private static uint Crc(uint crc, ReadOnlySpan<byte> bytes)
    {
        foreach (byte value in bytes)
        {
            crc = BitOperations.Crc32C(crc, value);
        }

        return crc;
    }

    private void Require(BlockStatus status, string what)
    {
        if (status != BlockStatus.Ok)
        {
            throw new StateFileException(StateFileError.Io, file.Path, $"{what}: {status}");
        }
    }
}
