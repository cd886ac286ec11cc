namespace Colo.Qcow2.Tables;

/// <summary>The sizes that follow from cluster bits, kind of L2 entry and refcount order. Immutable.</summary>
internal sealed class Geometry
{
    public Geometry(int clusterBits, bool extendedL2, int refcountOrder)
    {
        ClusterBits = clusterBits;
        ClusterBytes = 1 << clusterBits;
        ExtendedL2 = extendedL2;
        Subclusters = extendedL2 ? 32 : 1;
        GrainBits = extendedL2 ? clusterBits - 5 : clusterBits;
        L2EntryWords = extendedL2 ? 2 : 1;
        L2Bits = clusterBits - (extendedL2 ? 4 : 3);
        RefcountOrder = refcountOrder;
        RefcountBlockBits = clusterBits + 3 - refcountOrder;
        int sliceBytes = Math.Min(ClusterBytes, MaximumSliceBytes);
        SliceBits = int.Log2(sliceBytes / (L2EntryWords * sizeof(ulong)));
    }

    /// <summary>L2 tables are cached in slices, so that scattered requests do not drag whole 2 MiB tables into memory.</summary>
    private const int MaximumSliceBytes = 4096;

    public int ClusterBits { get; }

    public int ClusterBytes { get; }

    public bool ExtendedL2 { get; }

    /// <summary>Subclusters in a cluster: 32 with extended L2 entries, otherwise the cluster itself.</summary>
    public int Subclusters { get; }

    public int GrainBits { get; }

    public int GrainBytes => 1 << GrainBits;

    /// <summary>64-bit words in an L2 entry.</summary>
    public int L2EntryWords { get; }

    public int L2EntryBytes => L2EntryWords * sizeof(ulong);

    /// <summary>log2 of the entries in an L2 table.</summary>
    public int L2Bits { get; }

    /// <summary>log2 of the entries in a cached slice of an L2 table.</summary>
    public int SliceBits { get; }

    public int SliceEntries => 1 << SliceBits;

    public int SlicesPerTable => 1 << (L2Bits - SliceBits);

    public int RefcountOrder { get; }

    /// <summary>log2 of the refcounts in a refcount block.</summary>
    public int RefcountBlockBits { get; }

    public long RefcountsPerBlock => 1L << RefcountBlockBits;

    public int RefcountTableEntriesPerCluster => ClusterBytes / sizeof(ulong);

    public ulong MaximumRefcount => RefcountOrder == 6 ? ulong.MaxValue : (1UL << (1 << RefcountOrder)) - 1;

    public long OffsetInCluster(long offset) => offset & (ClusterBytes - 1);

    public long ClustersFor(long bytes) => (bytes >> ClusterBits) + (OffsetInCluster(bytes) == 0 ? 0 : 1);

    public long L1EntriesFor(long virtualBytes)
    {
        long clusters = ClustersFor(virtualBytes);
        return (clusters >> L2Bits) + ((clusters & ((1L << L2Bits) - 1)) == 0 ? 0 : 1);
    }

    public int L1Index(long guestOffset) => (int)(guestOffset >> (ClusterBits + L2Bits));

    public int L2Index(long guestOffset) => (int)(guestOffset >> ClusterBits) & ((1 << L2Bits) - 1);

    /// <summary>The first guest byte behind the slice that maps <paramref name="guestOffset"/>.</summary>
    public long SliceEnd(long guestOffset)
    {
        int bits = ClusterBits + SliceBits;
        return ((guestOffset >> bits) + 1) << bits;
    }

    /// <summary>A mask of the subclusters from the one at <paramref name="firstByte"/> to that before <paramref name="endByte"/> (rounded up).</summary>
    public uint SubclusterMask(long firstByte, long endByte)
    {
        int first = (int)(firstByte >> GrainBits);
        int end = (int)((endByte + GrainBytes - 1) >> GrainBits);
        return (uint)((1UL << end) - (1UL << first));
    }
}
