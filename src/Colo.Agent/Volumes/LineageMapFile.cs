using System.Buffers.Binary;
using Colo.Blocks;
using Colo.Linux;
using Colo.Replication;

namespace Colo.Agent.Volumes;

/// <summary>
/// The file lineage.map: which extents are hot, and which grains differ. Nothing in it is taken on trust: a header that is not whole, or a
/// log of which neither slot is, is refused; a sector of the map that is not whole counts as all different.
/// </summary>
/// <remarks>
/// Little-endian. At 0 the header: magic "COLOLMAP", version, bytes of the disk, CRC-32C. At 4096 and 12288 the slots of the log: magic
/// "COLOACTV", sequence, count, CRC-32C of what is before and behind it, then the extents' numbers; written in turn, the one with the higher
/// sequence that is whole counts. From 20480 on the map in sectors of 512 bytes: 504 of DirtyBitmap.CopyTo, the sector's number, CRC-32C.
/// A sector is written as one, so it is torn only where the disk tears sectors. Version 1 had neither header nor sectors, the bits
/// followed each other from 20480 on: it is made anew when it is opened.
/// </remarks>
internal sealed class LineageMapFile : IAsyncDisposable
{
    public const int CurrentVersion = 2;

    private const ulong HeaderMagic = 0x50414d4c4f4c4f43;
    private const ulong SlotMagic = 0x5654434f4c4f4343;
    private const int SlotBytes = 8192;
    private const int FirstSlotAt = 4096;
    private const int SlotHeaderBytes = 24;
    private const int SlotChecksumAt = 20;
    private const int HeaderChecksumAt = 24;
    /// <summary>Where the sectors of the map begin.</summary>
    internal const int MapAt = FirstSlotAt + (2 * SlotBytes);
    private const int UnitBytes = MapSector.BitBytes;
    private const int SectorBytes = MapSector.Bytes;
    private const int SectorsARead = 256;

    private readonly RawFile file;
    private readonly string path;
    private readonly long mapBytes;

    private LineageMapFile(RawFile file, string path, long diskBytes) => (this.file, this.path, mapBytes) = (file, path, BytesOfMap(diskBytes));

    /// <summary>Of the last write of the log that is there.</summary>
    public long Sequence { get; private set; }

    public BlockStatus FlushFailure => file.FlushFailure;

    /// <summary>Sectors of the map that were not whole when it was read.</summary>
    public int DamagedSectors { get; private set; }

    /// <exception cref="StateFileException">it is none, of a newer version, or of another disk.</exception>
    /// <exception cref="IOException">it cannot be opened.</exception>
    public static async Task<LineageMapFile> OpenAsync(string path, long diskBytes)
    {
        LineageMapFile map = new(RawFile.Open(path), path, diskBytes);
        try
        {
            if (await map.IsCurrentAsync(diskBytes))
            {
                return map;
            }

            IReadOnlyList<int> extents = await map.ReadActivityAsync(mayBeBlank: true);
            byte[] bits = new byte[map.mapBytes];
            map.Require(await map.file.ReadAsync(MapAt, bits), "reading the map");
            await map.DisposeAsync();
            return await CreateAsync(path, diskBytes, map.Sequence, extents, bits);
        }
        catch
        {
            await map.DisposeAsync();
            throw;
        }
    }

    /// <summary>A new one, with nothing hot and nothing different; there, whole and durable, when it returns, or not there.</summary>
    /// <param name="path">Where there is none.</param>
    /// <param name="diskBytes">Of the disk.</param>
    /// <param name="sequence">Its log counts on from there.</param>
    public static Task<LineageMapFile> CreateAsync(string path, long diskBytes, long sequence) =>
        CreateAsync(path, diskBytes, sequence, [], new byte[BytesOfMap(diskBytes)]);

    public Task<IReadOnlyList<int>> ReadActivityAsync() => ReadActivityAsync(mayBeBlank: false);

    public async Task WriteActivityAsync(IReadOnlyList<int> extents)
    {
        long next = Sequence + 1;
        byte[] slot = new byte[SlotHeaderBytes + (extents.Count * sizeof(int))];
        BinaryPrimitives.WriteUInt64LittleEndian(slot, SlotMagic);
        BinaryPrimitives.WriteInt64LittleEndian(slot.AsSpan(8), next);
        BinaryPrimitives.WriteInt32LittleEndian(slot.AsSpan(16), extents.Count);
        for (int i = 0; i < extents.Count; i++)
        {
            BinaryPrimitives.WriteInt32LittleEndian(slot.AsSpan(SlotHeaderBytes + (i * sizeof(int))), extents[i]);
        }

        BinaryPrimitives.WriteUInt32LittleEndian(slot.AsSpan(SlotChecksumAt), ChecksumOfSlot(slot));
        Require(await file.WriteAsync(FirstSlotAt + (next % 2 * SlotBytes), slot, RequestFlags.ForceUnitAccess), "writing the activity log");

        // Not before: one that failed is written again to the same slot, and the other stays whole.
        Sequence = next;
    }

    /// <summary>All of the map; what cannot be believed reads as different.</summary>
    public async Task ReadMapAsync(Memory<byte> destination)
    {
        byte[] sectors = new byte[SectorsARead * SectorBytes];
        DamagedSectors = 0;
        for (long sector = 0; sector * UnitBytes < destination.Length; sector += SectorsARead)
        {
            int count = (int)Math.Min(SectorsARead, ((destination.Length + UnitBytes - 1) / UnitBytes) - sector);
            Require(await file.ReadAsync(MapAt + (sector * SectorBytes), sectors.AsMemory(0, count * SectorBytes)), "reading the map");
            for (int i = 0; i < count; i++)
            {
                Span<byte> bits = destination.Span[(int)((sector + i) * UnitBytes)..];
                bool isWhole = MapSector.TryRead(sectors.AsSpan(i * SectorBytes, SectorBytes), sector + i, bits[..Math.Min(UnitBytes, bits.Length)]);
                DamagedSectors += isWhole ? 0 : 1;
            }
        }
    }

    /// <summary>As <see cref="ILineageStore.WriteMap"/>.</summary>
    public void WriteMap(long offsetBytes, ReadOnlySpan<byte> source)
    {
        if (offsetBytes % UnitBytes != 0 || (source.Length % UnitBytes != 0 && offsetBytes + source.Length != mapBytes))
        {
            throw new ArgumentException($"whole units of {UnitBytes} bytes, not {source.Length} at {offsetBytes}", nameof(offsetBytes));
        }

        long first = offsetBytes / UnitBytes;
        byte[] sectors = new byte[MapSector.CountOf(source.Length) * SectorBytes];
        MapSector.Write(sectors, first, source);

        // Through the page cache, which completes at once; the rest is for a file system that is slow.
        ValueTask<BlockStatus> written = file.WriteAsync(MapAt + (first * SectorBytes), sectors);
        Require(written.IsCompleted ? written.Result : written.AsTask().GetAwaiter().GetResult(), "writing the map");
    }

    public async Task SyncAsync() => Require(await file.FlushAsync(), "syncing the map");

    public ValueTask DisposeAsync() => file.DisposeAsync();

    private static long BytesOfMap(long diskBytes) => (((diskBytes + 4095) / 4096) + 63) / 64 * sizeof(long);

    private static long LengthFor(long diskBytes) => MapAt + (MapSector.CountOf(BytesOfMap(diskBytes)) * SectorBytes);

    private static long LengthOfVersion1(long diskBytes) => MapAt + ((((diskBytes + 4095) / 4096 / 8) + 8 + 4095) / 4096 * 4096);

    private static byte[] Header(long diskBytes)
    {
        byte[] header = new byte[HeaderChecksumAt + sizeof(uint)];
        BinaryPrimitives.WriteUInt64LittleEndian(header, HeaderMagic);
        BinaryPrimitives.WriteInt64LittleEndian(header.AsSpan(8), CurrentVersion);
        BinaryPrimitives.WriteInt64LittleEndian(header.AsSpan(16), diskBytes);
        BinaryPrimitives.WriteUInt32LittleEndian(header.AsSpan(HeaderChecksumAt), Crc32C.Of(header.AsSpan(0, HeaderChecksumAt)));
        return header;
    }

    /// <summary>False for one of version 1: no header, blank slots or whole ones, and its length.</summary>
    private async Task<bool> IsCurrentAsync(long diskBytes)
    {
        byte[] header = new byte[HeaderChecksumAt + sizeof(uint)];
        if (file.LengthBytes >= MapAt)
        {
            Require(await file.ReadAsync(0, header), "reading its header");
        }

        if (header.AsSpan().IsAllZero() && file.LengthBytes == LengthOfVersion1(diskBytes))
        {
            return false;
        }

        if (BinaryPrimitives.ReadUInt64LittleEndian(header) != HeaderMagic
            || BinaryPrimitives.ReadUInt32LittleEndian(header.AsSpan(HeaderChecksumAt)) != Crc32C.Of(header.AsSpan(0, HeaderChecksumAt)))
        {
            throw new StateFileException(StateFileError.Torn, path, $"does not begin as a map of what differs ({file.LengthBytes} bytes)");
        }

        long version = BinaryPrimitives.ReadInt64LittleEndian(header.AsSpan(8));
        if (version != CurrentVersion)
        {
            throw new StateFileException(StateFileError.UnknownVersion, path, $"has version {version}; {CurrentVersion} is known");
        }

        long of = BinaryPrimitives.ReadInt64LittleEndian(header.AsSpan(16));
        return of == diskBytes && file.LengthBytes == LengthFor(diskBytes)
            ? true
            : throw new StateFileException(
                StateFileError.Torn, path, $"is of a disk of {of} bytes and {file.LengthBytes} bytes long, not {diskBytes} and {LengthFor(diskBytes)}");
    }

    private static async Task<LineageMapFile> CreateAsync(string path, long diskBytes, long sequence, IReadOnlyList<int> extents, byte[] bits)
    {
        string unfinished = path + ".new";
        File.Delete(unfinished);
        LineageMapFile made = new(RawFile.Create(unfinished, LengthFor(diskBytes)), path, diskBytes) { Sequence = sequence };
        try
        {
            made.Require(await made.file.WriteAsync(0, Header(diskBytes)), "writing its header");
            await made.WriteActivityAsync(extents);
            made.WriteMap(0, bits);
            await made.SyncAsync();
            Directories.Rename(unfinished, path);
            return made;
        }
        catch
        {
            await made.DisposeAsync();
            throw;
        }
    }

    private async Task<IReadOnlyList<int>> ReadActivityAsync(bool mayBeBlank)
    {
        byte[] slots = new byte[2 * SlotBytes];
        Require(await file.ReadAsync(FirstSlotAt, slots.AsMemory()), "reading the activity log");
        IReadOnlyList<int> newest = [];
        bool isWhole = mayBeBlank && slots.AsSpan().IsAllZero();
        for (int slot = 0; slot < 2; slot++)
        {
            if (TryParse(slots.AsSpan(slot * SlotBytes, SlotBytes), out long number, out List<int> extents) && (number > Sequence || !isWhole))
            {
                (Sequence, newest, isWhole) = (number, extents, true);
            }
        }

        return isWhole ? newest : throw new StateFileException(StateFileError.Torn, path, "neither slot of the activity log is whole");
    }

    private static bool TryParse(ReadOnlySpan<byte> slot, out long number, out List<int> extents)
    {
        (number, extents) = (0, []);
        int count = BinaryPrimitives.ReadInt32LittleEndian(slot[16..]);
        if (BinaryPrimitives.ReadUInt64LittleEndian(slot) != SlotMagic || count is < 0 or > ActivityLog.Capacity
            || ChecksumOfSlot(slot[..(SlotHeaderBytes + (count * sizeof(int)))]) != BinaryPrimitives.ReadUInt32LittleEndian(slot[SlotChecksumAt..]))
        {
            return false;
        }

        number = BinaryPrimitives.ReadInt64LittleEndian(slot[8..]);
        for (int i = 0; i < count; i++)
        {
            extents.Add(BinaryPrimitives.ReadInt32LittleEndian(slot[(SlotHeaderBytes + (i * sizeof(int)))..]));
        }

        return true;
    }

    private static uint ChecksumOfSlot(ReadOnlySpan<byte> slot) => Crc32C.Of(slot[..SlotChecksumAt], slot[SlotHeaderBytes..]);

    private void Require(BlockStatus status, string what)
    {
        if (status != BlockStatus.Ok)
        {
            throw new StateFileException(StateFileError.Io, path, $"{what}: {status}");
        }
    }
}
