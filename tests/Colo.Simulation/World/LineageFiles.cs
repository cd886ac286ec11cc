using Colo.Agent.Volumes;
using Colo.Blocks;
using Colo.Replication;
using Colo.Simulation.Engine;

namespace Colo.Simulation.World;

/// <summary>What a machine's disk holds of its replica's lineage: a record and an activity log that are written whole, and a map, in the
/// agent's own form, whose unsynced sectors a power loss may take. All of it may rot.</summary>
internal sealed class LineageFiles
{
    public const int GrainBytes = 4096;

    private readonly byte[] durable;
    private readonly byte[] map;
    private long syncs;
    private long synced;

    public LineageFiles(long diskBytes)
    {
        DirtyBitmap bits = new(diskBytes, GrainBytes);
        GrainCount = bits.GrainCount;
        durable = new byte[MapSector.CountOf(bits.StoredBytes) * MapSector.Bytes];
        map = new byte[durable.Length];
    }

    private LineageFiles(LineageFiles other)
    {
        GrainCount = other.GrainCount;
        durable = (byte[])other.durable.Clone();
        map = (byte[])other.durable.Clone();
        (Record, Activity) = (other.Record, other.Activity);
    }

    public long GrainCount { get; }

    public LineageRecord Record { get; set; } = LineageRecord.Empty;

    public IReadOnlyList<int> Activity { get; set; } = [];

    /// <summary>The checksum of one of the files is wrong, until it is written anew.</summary>
    public bool IsRecordRotten { get; set; }

    public bool IsActivityRotten { get; set; }

    /// <summary>In the map's file, as a new process would find it.</summary>
    public bool IsMarked(long offsetBytes) => IsSet(map, offsetBytes);

    /// <summary>In the map's file, as it would be found after a power loss.</summary>
    public bool IsMarkedDurably(long offsetBytes) => IsSet(durable, offsetBytes);

    public bool HasMarks => Marked().Any();

    public bool IsHot(long offsetBytes) => Activity.Contains((int)(offsetBytes / ActivityLog.ExtentBytes));

    public void Read(Span<byte> bits)
    {
        for (int at = 0, index = 0; at < bits.Length; at += MapSector.BitBytes, index++)
        {
            MapSector.TryRead(
                map.AsSpan(index * MapSector.Bytes, MapSector.Bytes), index, bits.Slice(at, Math.Min(MapSector.BitBytes, bits.Length - at)));
        }
    }

    /// <summary>As if no checksum was looked at.</summary>
    public void ReadUnchecked(Span<byte> bits)
    {
        for (int at = 0; at < bits.Length; at++)
        {
            bits[at] = map[(at / MapSector.BitBytes * MapSector.Bytes) + (at % MapSector.BitBytes)];
        }
    }

    public void Write(long offsetBytes, ReadOnlySpan<byte> bits)
    {
        long first = offsetBytes / MapSector.BitBytes;
        Span<byte> sectors = map.AsSpan((int)first * MapSector.Bytes, (int)MapSector.CountOf(bits.Length) * MapSector.Bytes);
        sectors.Clear();
        MapSector.Write(sectors, first, bits);
    }

    /// <summary>What a sync that begins now will make durable.</summary>
    public (long Number, byte[] Map) BeginSync() => (++syncs, (byte[])map.Clone());

    public void EndSync((long Number, byte[] Map) begun)
    {
        if (begun.Number > synced)
        {
            synced = begun.Number;
            begun.Map.CopyTo(durable, 0);
        }
    }

    public void LosePower(Dice dice)
    {
        for (int at = 0; at < map.Length; at += MapSector.Bytes)
        {
            if (dice.Chance(0.5))
            {
                durable.AsSpan(at, MapSector.Bytes).CopyTo(map.AsSpan(at));
            }
        }

        map.CopyTo(durable, 0);
        synced = syncs;
    }

    /// <summary>A sector of the map that holds marks, where there is one, has lost them.</summary>
    public void RotMap(Dice dice)
    {
        int[] marked = [.. Marked()];
        int at = marked.Length > 0 ? dice.Pick(marked) : dice.Below(map.Length);
        if (marked.Length == 0)
        {
            map[at] = durable[at] ^= 0x20;
            return;
        }

        int sector = at / MapSector.Bytes * MapSector.Bytes;
        map.AsSpan(sector, MapSector.BitBytes).Clear();
        durable.AsSpan(sector, MapSector.BitBytes).Clear();
    }

    /// <summary>Bytes of the file that hold a mark.</summary>
    private IEnumerable<int> Marked() => Enumerable.Range(0, map.Length).Where(at => at % MapSector.Bytes < MapSector.BitBytes && map[at] != 0);

    /// <summary>What a backup of the powered-off machine would hold.</summary>
    public LineageFiles Copy() => new(this);

    private static bool IsSet(byte[] sectors, long offsetBytes)
    {
        long grain = offsetBytes / GrainBytes;
        long at = grain / 8;
        int index = (int)(at / MapSector.BitBytes);
        Span<byte> bits = stackalloc byte[MapSector.BitBytes];
        MapSector.TryRead(sectors.AsSpan(index * MapSector.Bytes, MapSector.Bytes), index, bits);
        return (bits[(int)(at % MapSector.BitBytes)] & (1 << (int)(grain % 8))) != 0;
    }
}
