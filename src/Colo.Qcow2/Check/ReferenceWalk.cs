using System.Buffers.Binary;
using Colo.Blocks;
using Colo.Qcow2.Header;
using Colo.Qcow2.Mapping;
using Colo.Qcow2.Tables;

namespace Colo.Qcow2.Check;

/// <summary>Follows every pointer of an image, snapshots and bitmaps included, and counts what each cluster is used for.</summary>
internal sealed class ReferenceWalk(ImageState image, Findings findings)
{
    private const ulong BitmapTableOffsetMask = L2Entry.OffsetMask;
    private readonly Geometry geometry = image.Geometry;
    private readonly Qcow2Header header = image.Header;

    public ReferenceMap References { get; } = new();

    public long MappedClusters { get; private set; }

    public async ValueTask RunAsync()
    {
        Own(0, geometry.ClusterBytes, "header");
        Own(image.Refcounts.TableOffset, (long)image.Refcounts.TableClusters << geometry.ClusterBits, "refcount table");
        for (long i = 0; i < image.Refcounts.BlockCount; i++)
        {
            Own(image.Refcounts.BlockOffset(i), image.Refcounts.BlockOffset(i) == 0 ? 0 : geometry.ClusterBytes, "refcount block");
        }

        await WalkL1Async(header.L1Offset, header.L1Entries, isActive: true);
        SnapshotTable snapshots = await SnapshotTable.ReadAsync(image.File, header);
        Own(header.SnapshotsOffset, snapshots.TableBytes, "snapshot table");
        foreach (Snapshot snapshot in snapshots.Snapshots)
        {
            await WalkL1Async(snapshot.L1Offset, snapshot.L1Entries, isActive: false);
        }

        if (header.Bitmaps is { } bitmaps && (header.Autoclear & AutoclearFeatures.Bitmaps) != 0)
        {
            await WalkBitmapsAsync(bitmaps);
        }
    }

    private async ValueTask WalkL1Async(long offset, int entries, bool isActive)
    {
        if (entries == 0)
        {
            return;
        }

        Own(offset, entries * 8L, "L1 table");
        byte[] l1 = await ReadAsync(offset, entries * 8);
        byte[] l2 = new byte[geometry.ClusterBytes];
        for (int i = 0; i < entries; i++)
        {
            ulong entry = BinaryPrimitives.ReadUInt64BigEndian(l1.AsSpan(i * 8));
            long table = MappingTables.L2Offset(entry);
            if (table == 0)
            {
                continue;
            }

            if (!References.AddShared(table >> geometry.ClusterBits))
            {
                findings.Corrupt($"the L2 table at {table} shares its cluster with data");
            }

            if (isActive)
            {
                await JudgeCopiedAsync(entry, table, offset + (i * 8L));
            }

            BlockStatus status = await image.File.ReadAsync(table, l2);
            ThrowIfFailed(status, table);
            await WalkL2Async(l2, table, isActive);
        }
    }

    private async ValueTask WalkL2Async(byte[] l2, long table, bool isActive)
    {
        for (int at = 0; at < l2.Length; at += geometry.L2EntryBytes)
        {
            ulong word = BinaryPrimitives.ReadUInt64BigEndian(l2.AsSpan(at));
            if ((word & L2Entry.Compressed) != 0)
            {
                AddCompressed(word);
                continue;
            }

            long host = (long)(word & L2Entry.OffsetMask);
            if (host == 0)
            {
                continue;
            }

            MappedClusters += isActive ? 1 : 0;
            if (geometry.OffsetInCluster(host) != 0 || !References.Add(host >> geometry.ClusterBits, isMetadata: false))
            {
                findings.Corrupt($"the L2 entry at {table + at} maps data at {host}, misaligned or onto metadata");
            }

            if (isActive)
            {
                await JudgeCopiedAsync(word, host, table + at);
            }
        }
    }

    /// <summary>COPIED is set exactly where the refcount is 1.</summary>
    private async ValueTask JudgeCopiedAsync(ulong word, long host, long at)
    {
        (BlockStatus status, ulong count) = await image.Refcounts.GetAsync(host >> geometry.ClusterBits);
        ThrowIfFailed(status, at);
        bool copied = (word & L2Entry.Copied) != 0;
        if (copied != (count == 1))
        {
            findings.Corrupt($"the entry at {at} has COPIED {(copied ? "set" : "clear")}, the cluster at {host} has refcount {count}");
        }
    }

    /// <summary>Only snapshots can still hold compressed clusters; they share their host clusters (qcow2.txt, "Compressed Clusters Descriptor").</summary>
    private void AddCompressed(ulong word)
    {
        int offsetBits = 62 - (geometry.ClusterBits - 8);
        ulong descriptor = word & (L2Entry.Compressed - 1);
        long offset = (long)(descriptor & ((1UL << offsetBits) - 1));
        long sectors = (long)(descriptor >> offsetBits) + 1;
        long end = (offset & ~511L) + (sectors * 512);
        for (long cluster = offset >> geometry.ClusterBits; cluster <= (end - 1) >> geometry.ClusterBits; cluster++)
        {
            References.Add(cluster, isMetadata: false);
        }
    }

    private async ValueTask WalkBitmapsAsync(BitmapsExtension bitmaps)
    {
        Own(bitmaps.DirectoryOffset, bitmaps.DirectoryBytes, "bitmap directory");
        byte[] directory = await ReadAsync(bitmaps.DirectoryOffset, (int)bitmaps.DirectoryBytes);
        int at = 0;
        for (uint i = 0; i < bitmaps.Count && directory.Length - at >= BitmapEntry.FixedBytes; i++)
        {
            BitmapEntry entry = BitmapEntry.Parse(directory.AsSpan(at));
            if (entry.TableEntries > HeaderLayout.MaximumL1Entries || entry.TableOffset > image.File.LengthBytes)
            {
                findings.Corrupt($"bitmap {i} has a table of {entry.TableEntries} entries at {entry.TableOffset}");
                return;
            }

            Own(entry.TableOffset, entry.TableEntries * 8L, "bitmap table");
            byte[] table = await ReadAsync(entry.TableOffset, (int)entry.TableEntries * 8);
            for (int j = 0; j < table.Length; j += 8)
            {
                long host = (long)(BinaryPrimitives.ReadUInt64BigEndian(table.AsSpan(j)) & BitmapTableOffsetMask);
                Own(host, host == 0 ? 0 : geometry.ClusterBytes, "bitmap");
            }

            at += entry.EntryBytes;
        }
    }

    private void Own(long offset, long bytes, string what)
    {
        for (long cluster = offset >> geometry.ClusterBits; cluster < geometry.ClustersFor(offset + bytes) && bytes > 0; cluster++)
        {
            if (!References.Add(cluster, isMetadata: true))
            {
                findings.Corrupt($"the {what} at {offset} shares cluster {cluster} with another structure");
            }
        }
    }

    private async ValueTask<byte[]> ReadAsync(long offset, int length)
    {
        byte[] bytes = new byte[length];
        ThrowIfFailed(await image.File.ReadAsync(offset, bytes), offset);
        return bytes;
    }

    private void ThrowIfFailed(BlockStatus status, long at)
    {
        if (status != BlockStatus.Ok)
        {
            throw new Qcow2Exception(Qcow2Fault.Medium, image.File.Path, at, $"a table cannot be read: {status}");
        }
    }
}
