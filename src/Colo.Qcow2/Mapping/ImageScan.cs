using System.Buffers.Binary;
using System.Numerics;
using Colo.Blocks;
using Colo.Qcow2.Header;
using Colo.Qcow2.Tables;

namespace Colo.Qcow2.Mapping;

/// <summary>
/// Reads all tables once when an image is opened and refuses what cannot be served: compressed clusters, pointers out of the file,
/// structures that share a cluster, data mapped onto metadata, and, for writing, clusters in use without a refcount. After it,
/// look-ups trust what they read. Costs one read of every L2 table (128 MiB for a full 1 TiB of 64 KiB clusters); the alternative,
/// an error in the middle of a guest's life, is worse.
/// </summary>
internal sealed class ImageScan
{
    private readonly IImageFile file;
    private readonly Qcow2Header header;
    private readonly Geometry geometry;
    private readonly HashSet<long> metadata = [];
    private readonly long fileEnd;

    public ImageScan(IImageFile file, Qcow2Header header)
    {
        this.file = file;
        this.header = header;
        geometry = new Geometry(header.ClusterBits, header.ExtendedL2, header.RefcountOrder);
        fileEnd = geometry.ClustersFor(file.LengthBytes) << geometry.ClusterBits;
    }

    public ulong[] L1 { get; private set; } = [];

    public ulong[] RefcountTable { get; private set; } = [];

    /// <summary>Bytes of metadata and of mapped grains.</summary>
    public long AllocatedBytes { get; private set; }

    public async ValueTask RunAsync()
    {
        Claim(0, geometry.ClusterBytes, 0, "header");
        L1 = await ReadWordsAsync(header.L1Offset, header.L1Entries, "L1 table");
        Claim(header.L1Offset, header.L1Entries * 8L, HeaderLayout.L1TableOffset, "L1 table");
        await ScanRefcountTableAsync();
        await ScanSnapshotsAsync();
        if (header.Bitmaps is { } bitmaps && (header.Autoclear & AutoclearFeatures.Bitmaps) != 0)
        {
            Claim(bitmaps.DirectoryOffset, bitmaps.DirectoryBytes, header.HeaderLength, "bitmap directory");
        }

        for (int i = 0; i < L1.Length; i++)
        {
            ClaimL2(i);
        }

        AllocatedBytes = (long)metadata.Count << geometry.ClusterBits;
        byte[] table = new byte[geometry.ClusterBytes];
        for (int i = 0; i < L1.Length; i++)
        {
            if (MappingTables.L2Offset(L1[i]) != 0)
            {
                await ScanL2Async(MappingTables.L2Offset(L1[i]), table);
            }
        }
    }

    /// <summary>A writer would hand out again what has no refcount.</summary>
    public async ValueTask RequireRefcountsAsync(Refcounts refcounts)
    {
        foreach (long cluster in metadata)
        {
            await RequireRefcountAsync(refcounts, cluster, "metadata");
        }

        byte[] table = new byte[geometry.ClusterBytes];
        foreach (ulong entry in L1)
        {
            long offset = MappingTables.L2Offset(entry);
            if (offset == 0)
            {
                continue;
            }

            await ReadAsync(offset, table, "L2 table");
            for (int at = 0; at < table.Length; at += geometry.L2EntryBytes)
            {
                long host = (long)(BinaryPrimitives.ReadUInt64BigEndian(table.AsSpan(at)) & L2Entry.OffsetMask);
                if (host != 0)
                {
                    await RequireRefcountAsync(refcounts, host >> geometry.ClusterBits, "data");
                }
            }
        }
    }

    private async ValueTask RequireRefcountAsync(Refcounts refcounts, long cluster, string what)
    {
        (BlockStatus status, ulong count) = await refcounts.GetAsync(cluster);
        if (status != BlockStatus.Ok || count == 0)
        {
            throw Bad(status == BlockStatus.Ok ? Qcow2Fault.InvalidField : Qcow2Fault.Medium, cluster << geometry.ClusterBits, $"a cluster with {what} has refcount 0; repair the image with `qemu-img check -r all` before it is written");
        }
    }

    private async ValueTask ScanRefcountTableAsync()
    {
        int entries = header.RefcountTableClusters * geometry.RefcountTableEntriesPerCluster;
        RefcountTable = await ReadWordsAsync(header.RefcountTableOffset, entries, "refcount table");
        Claim(header.RefcountTableOffset, entries * 8L, HeaderLayout.RefcountTableOffset, "refcount table");
        for (int i = 0; i < entries; i++)
        {
            long at = header.RefcountTableOffset + (i * 8L);
            if (RefcountTable[i] > long.MaxValue)
            {
                throw Bad(Qcow2Fault.OutOfFile, at, $"refcount block {i} at {RefcountTable[i]}; the file ends at {file.LengthBytes}");
            }

            Claim((long)RefcountTable[i], RefcountTable[i] == 0 ? 0 : geometry.ClusterBytes, at, "refcount block");
        }
    }

    private async ValueTask ScanSnapshotsAsync()
    {
        SnapshotTable table = await SnapshotTable.ReadAsync(file, header);
        Claim(header.SnapshotsOffset, table.TableBytes, HeaderLayout.SnapshotsOffset, "snapshot table");
        foreach (Snapshot snapshot in table.Snapshots)
        {
            Claim(snapshot.L1Offset, snapshot.L1Entries * 8L, header.SnapshotsOffset, "snapshot's L1 table");
        }
    }

    private void ClaimL2(int l1Index)
    {
        long at = header.L1Offset + (l1Index * 8L);
        if ((L1[l1Index] & L2Entry.L1ReservedMask) != 0)
        {
            throw Bad(Qcow2Fault.InvalidField, at, $"reserved bits 0x{L1[l1Index] & L2Entry.L1ReservedMask:x} of an L1 entry are set");
        }

        long offset = MappingTables.L2Offset(L1[l1Index]);
        Claim(offset, offset == 0 ? 0 : geometry.ClusterBytes, at, "L2 table");
    }

    private async ValueTask ScanL2Async(long tableOffset, byte[] table)
    {
        await ReadAsync(tableOffset, table, "L2 table");
        for (int i = 0; i < table.Length; i += geometry.L2EntryBytes)
        {
            ulong word = BinaryPrimitives.ReadUInt64BigEndian(table.AsSpan(i));
            ulong bitmap = geometry.ExtendedL2 ? BinaryPrimitives.ReadUInt64BigEndian(table.AsSpan(i + 8)) : 0;
            if ((word | bitmap) != 0)
            {
                Judge(word, bitmap, tableOffset + i);
            }
        }
    }

    private void Judge(ulong word, ulong bitmap, long at)
    {
        if ((word & L2Entry.Compressed) != 0)
        {
            throw Bad(Qcow2Fault.Compressed, at, "a compressed cluster; only plain clusters are served (`qemu-img convert -O qcow2` without -c writes them)");
        }

        if (L2Entry.Judge(word, bitmap, geometry.ExtendedL2, header.Version) is { } wrong)
        {
            throw Bad(Qcow2Fault.InvalidField, at, wrong);
        }

        L2Entry entry = L2Entry.Decode(word, bitmap, geometry.ExtendedL2);
        if (geometry.OffsetInCluster(entry.HostOffset) != 0)
        {
            throw Bad(Qcow2Fault.Misaligned, at, $"data cluster at {entry.HostOffset}; a multiple of the cluster size {geometry.ClusterBytes} is allowed");
        }

        if (entry.HasHost && entry.HostOffset > fileEnd - geometry.ClusterBytes)
        {
            throw Bad(Qcow2Fault.OutOfFile, at, $"data cluster at {entry.HostOffset}; the file ends at {file.LengthBytes}");
        }

        if (entry.HasHost && metadata.Contains(entry.HostOffset >> geometry.ClusterBits))
        {
            throw Bad(Qcow2Fault.Overlap, at, $"data is mapped onto metadata at {entry.HostOffset}");
        }

        AllocatedBytes += (long)BitOperations.PopCount(entry.Allocated) << geometry.GrainBits;
    }

    /// <summary>Notes the clusters of one structure; each may belong to one only.</summary>
    private void Claim(long offset, long bytes, long at, string what)
    {
        if (bytes == 0)
        {
            return;
        }

        if (geometry.OffsetInCluster(offset) != 0)
        {
            throw Bad(Qcow2Fault.Misaligned, at, $"{what} at {offset}; a multiple of the cluster size {geometry.ClusterBytes} is allowed");
        }

        if (offset > fileEnd - bytes)
        {
            throw Bad(Qcow2Fault.OutOfFile, at, $"{what} at {offset}, {bytes} bytes; the file ends at {file.LengthBytes}");
        }

        for (long cluster = offset >> geometry.ClusterBits; cluster < geometry.ClustersFor(offset + bytes); cluster++)
        {
            if (!metadata.Add(cluster))
            {
                throw Bad(Qcow2Fault.Overlap, at, $"{what} at {offset} shares cluster {cluster} with another structure");
            }
        }
    }

    private async ValueTask<ulong[]> ReadWordsAsync(long offset, int count, string what)
    {
        byte[] bytes = new byte[count * 8];
        await ReadAsync(offset, bytes, what);
        ulong[] words = new ulong[count];
        for (int i = 0; i < count; i++)
        {
            words[i] = BinaryPrimitives.ReadUInt64BigEndian(bytes.AsSpan(i * 8));
        }

        return words;
    }

    private async ValueTask ReadAsync(long offset, Memory<byte> destination, string what)
    {
        BlockStatus status = await file.ReadAsync(offset, destination);
        if (status != BlockStatus.Ok)
        {
            throw Bad(Qcow2Fault.Medium, offset, $"the {what} cannot be read: {status}");
        }
    }

    private Qcow2Exception Bad(Qcow2Fault fault, long at, string message) => new(fault, file.Path, at, message);
}
