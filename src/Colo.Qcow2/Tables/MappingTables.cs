using System.Buffers;
using Colo.Blocks;

namespace Colo.Qcow2.Tables;

/// <summary>
/// The active L1 table and a bounded cache of L2 slices. Everything in it is in the file already, so that eviction only forgets.
/// Look-ups need no lock, as long as no cluster is freed meanwhile (<see cref="Access.SharedGate"/>); loading and changing happen
/// under the mapping lock.
/// </summary>
internal sealed class MappingTables
{
    private readonly IImageFile file;
    private readonly Geometry geometry;
    private readonly int version;
    private readonly List<L2Slice> ring = [];
    private readonly int maximumSlices;
    private ulong[] l1;
    private L2Slice?[]?[] slices;
    private int hand;

    public MappingTables(IImageFile file, Geometry geometry, int version, ulong[] l1, int cacheBytes)
    {
        this.file = file;
        this.geometry = geometry;
        this.version = version;
        this.l1 = l1;
        slices = new L2Slice?[]?[l1.Length];
        maximumSlices = Math.Max(2, cacheBytes / Math.Min(geometry.ClusterBytes, 4096));
    }

    public int L1Entries => l1.Length;

    public ulong L1Entry(int index) => Volatile.Read(ref l1[index]);

    public static long L2Offset(ulong l1Entry) => (long)(l1Entry & L2Entry.OffsetMask);

    /// <summary>The longest run of one kind, contiguous in the file, from <paramref name="guestOffset"/> on; ends at a slice's end at the latest.</summary>
    public MappedRun Find(long guestOffset, long maximumBytes)
    {
        int l1Index = geometry.L1Index(guestOffset);
        long end = Math.Min(guestOffset + maximumBytes, geometry.SliceEnd(guestOffset));
        if (L2Offset(L1Entry(l1Index)) == 0)
        {
            long tableEnd = (long)(l1Index + 1) << (geometry.ClusterBits + geometry.L2Bits);
            return new(RunKind.Hole, 0, Math.Min(maximumBytes, tableEnd - guestOffset));
        }

        L2Slice? slice = TryGet(guestOffset);
        return slice is null ? new(RunKind.NotLoaded, 0, end - guestOffset) : Find(slice, guestOffset, end, writable: false);
    }

    /// <summary>As <see cref="Find"/>, but bytes that a write may overwrite in place: allocated, in a cluster that only this mapping uses. 0 where none.</summary>
    public MappedRun FindWritable(long guestOffset, long maximumBytes)
    {
        if (L2Offset(L1Entry(geometry.L1Index(guestOffset))) == 0 || TryGet(guestOffset) is not { } slice)
        {
            return default;
        }

        MappedRun run = Find(slice, guestOffset, Math.Min(guestOffset + maximumBytes, geometry.SliceEnd(guestOffset)), writable: true);
        return run.Kind == RunKind.Data ? run : default;
    }

    /// <summary>The slice that maps an offset, or null where it is not in memory.</summary>
    public L2Slice? TryGet(long guestOffset)
    {
        L2Slice? slice = Volatile.Read(ref slices[geometry.L1Index(guestOffset)]) is { } table
            ? Volatile.Read(ref table[geometry.L2Index(guestOffset) >> geometry.SliceBits])
            : null;
        if (slice is { IsUsed: false })
        {
            slice.IsUsed = true;
        }

        return slice;
    }

    /// <summary>Brings the slice that maps an offset into memory. Under the mapping lock; the L1 entry must be set.</summary>
    public async ValueTask<BlockStatus> LoadAsync(long guestOffset)
    {
        int l1Index = geometry.L1Index(guestOffset);
        int sliceIndex = geometry.L2Index(guestOffset) >> geometry.SliceBits;
        L2Slice slice = new(geometry, l1Index, sliceIndex);
        byte[] bytes = ArrayPool<byte>.Shared.Rent(slice.SizeBytes);
        try
        {
            long offset = L2Offset(l1[l1Index]) + ((long)sliceIndex * slice.SizeBytes);
            BlockStatus status = await file.ReadAsync(offset, bytes.AsMemory(0, slice.SizeBytes));
            if (status != BlockStatus.Ok)
            {
                return status;
            }

            // Judged when the image was opened: wrong now means that someone else writes this file.
            if (slice.Load(bytes, version) is not null)
            {
                return BlockStatus.IoError;
            }
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(bytes);
        }

        Keep(slice);
        return BlockStatus.Ok;
    }

    /// <summary>An empty slice of a table that was made just now. Under the mapping lock.</summary>
    public L2Slice AddEmpty(long guestOffset)
    {
        L2Slice slice = new(geometry, geometry.L1Index(guestOffset), geometry.L2Index(guestOffset) >> geometry.SliceBits);
        Keep(slice);
        return slice;
    }

    /// <summary>After the file's L1 entry was written. Under the mapping lock.</summary>
    public void SetL1(int index, ulong entry) => Volatile.Write(ref l1[index], entry);

    /// <summary>Forgets the slices of one table. Under the mapping lock.</summary>
    public void Forget(int l1Index)
    {
        slices[l1Index] = null;
        ring.RemoveAll(slice => slice.L1Index == l1Index);
        hand = 0;
    }

    /// <summary>Another L1 table took the place of this one. No request may be in flight.</summary>
    public void Reset(ulong[] newL1, bool keepSlices)
    {
        l1 = newL1;
        if (keepSlices)
        {
            Array.Resize(ref slices, newL1.Length);
            return;
        }

        slices = new L2Slice?[]?[newL1.Length];
        ring.Clear();
        hand = 0;
    }

    public ulong[] CopyL1(int entries)
    {
        ulong[] copy = new ulong[entries];
        l1.CopyTo(copy, 0);
        return copy;
    }

    private MappedRun Find(L2Slice slice, long guestOffset, long end, bool writable)
    {
        int mask = geometry.SliceEntries - 1;
        int index = geometry.L2Index(guestOffset) & mask;
        long at = guestOffset;
        RunKind kind = RunKind.NotLoaded;
        long host = 0;
        while (at < end)
        {
            L2Entry entry = slice[index++];
            long inCluster = geometry.OffsetInCluster(at);
            int subcluster = (int)(inCluster >> geometry.GrainBits);
            RunKind here = KindOf(entry, subcluster);
            if (at == guestOffset)
            {
                kind = here;
                host = entry.HostOffset + inCluster;
            }

            bool continues = here == kind && (kind != RunKind.Data || entry.HostOffset + inCluster == host + (at - guestOffset));
            if (!continues || (writable && !entry.IsCopied))
            {
                break;
            }

            long clusterStart = at - inCluster;
            int behind = SubclusterRunEnd(entry, subcluster, kind);
            at = clusterStart + ((long)behind << geometry.GrainBits);
            if (behind < geometry.Subclusters)
            {
                break;
            }
        }

        return at == guestOffset ? default : new(kind, host, Math.Min(at, end) - guestOffset);
    }

    private static RunKind KindOf(L2Entry entry, int subcluster) =>
        ((entry.Allocated >> subcluster) & 1) != 0 ? RunKind.Data
        : ((entry.Zero >> subcluster) & 1) != 0 ? RunKind.Zero
        : RunKind.Hole;

    private int SubclusterRunEnd(L2Entry entry, int first, RunKind kind)
    {
        uint same = kind switch
        {
            RunKind.Data => entry.Allocated,
            RunKind.Zero => entry.Zero,
            _ => ~(entry.Allocated | entry.Zero),
        };
        int run = System.Numerics.BitOperations.TrailingZeroCount(~((ulong)same >> first));
        return Math.Min(first + run, geometry.Subclusters);
    }

    private void Keep(L2Slice slice)
    {
        L2Slice?[] table = slices[slice.L1Index] ?? new L2Slice?[geometry.SlicesPerTable];
        if (ring.Count < maximumSlices)
        {
            ring.Add(slice);
        }
        else
        {
            Replace(slice);
        }

        Volatile.Write(ref table[slice.SliceIndex], slice);
        Volatile.Write(ref slices[slice.L1Index], table);
    }

    private void Replace(L2Slice slice)
    {
        while (ring[hand].IsUsed)
        {
            ring[hand].IsUsed = false;
            hand = (hand + 1) % ring.Count;
        }

        L2Slice victim = ring[hand];
        Volatile.Write(ref slices[victim.L1Index]![victim.SliceIndex], null);
        ring[hand] = slice;
        hand = (hand + 1) % ring.Count;
    }
}
