using System.Buffers.Binary;
using System.Text;
using Colo.Blocks;
using static Colo.Qcow2.Header.HeaderLayout;

namespace Colo.Qcow2.Header;

/// <summary>Reads and judges the header: whatever passes here can be trusted by the rest of this room.</summary>
internal static class HeaderReader
{
    private const IncompatibleFeatures Served =
        Header.IncompatibleFeatures.Dirty | Header.IncompatibleFeatures.CompressionType | Header.IncompatibleFeatures.ExtendedL2;

    public static async ValueTask<Qcow2Header> ReadAsync(IImageFile file)
    {
        byte[] head = await ReadBytesAsync(file, WrittenLength);
        if (file.LengthBytes < LengthV2 || U32(head, 0) != Magic)
        {
            throw Bad(file, Qcow2Fault.NotQcow2, 0, "not a qcow2 image: it must begin with 'QFI' 0xfb and have a whole header");
        }

        // The cluster's size is needed to read the rest of the header's cluster.
        uint clusterBits = U32(head, ClusterBits);
        if (clusterBits is < MinimumClusterBits or > MaximumClusterBits)
        {
            throw Bad(file, Qcow2Fault.InvalidField, ClusterBits, $"cluster_bits is {clusterBits}; {MinimumClusterBits} to {MaximumClusterBits} are allowed");
        }

        return Parse(await ReadBytesAsync(file, 1 << (int)clusterBits), file);
    }

    private static Qcow2Header Parse(byte[] cluster, IImageFile file)
    {
        uint version = U32(cluster, HeaderLayout.Version);
        Qcow2Header header = new()
        {
            Version = version is 2 or 3 ? (int)version : throw Bad(file, Qcow2Fault.UnsupportedVersion, HeaderLayout.Version, $"version {version}; 2 and 3 are served"),
            ClusterBits = (int)U32(cluster, ClusterBits),
            SizeBytes = Size64(cluster, Size, file, "virtual size"),
            L1Entries = 0,
            L1Offset = Size64(cluster, L1TableOffset, file, "l1_table_offset"),
            RefcountTableOffset = Size64(cluster, RefcountTableOffset, file, "refcount_table_offset"),
            RefcountTableClusters = 0,
            SnapshotsOffset = Size64(cluster, SnapshotsOffset, file, "snapshots_offset"),
        };
        header = version == 3 ? WithFeatures(header, cluster, file) : header;
        RefuseEncryption(cluster, file);
        header = WithTables(header, cluster, file);
        return WithNames(header, cluster, file);
    }

    private static Qcow2Header WithFeatures(Qcow2Header header, byte[] cluster, IImageFile file)
    {
        var incompatible = (IncompatibleFeatures)U64(cluster, HeaderLayout.IncompatibleFeatures);
        RefuseUnserved(incompatible, file);

        uint length = U32(cluster, HeaderLength);
        if (length < MinimumLengthV3 || length > cluster.Length || length % 8 != 0)
        {
            throw Bad(file, Qcow2Fault.InvalidField, HeaderLength, $"header_length is {length}; a multiple of 8 from {MinimumLengthV3} to the cluster's {cluster.Length} is allowed");
        }

        uint order = U32(cluster, RefcountOrder);
        if (order > MaximumRefcountOrder)
        {
            throw Bad(file, Qcow2Fault.InvalidField, RefcountOrder, $"refcount_order is {order}; 0 to {MaximumRefcountOrder} are allowed");
        }

        bool extended = (incompatible & Header.IncompatibleFeatures.ExtendedL2) != 0;
        if (extended && header.ClusterBits < MinimumClusterBitsExtendedL2)
        {
            throw Bad(file, Qcow2Fault.InvalidField, ClusterBits, $"cluster_bits is {header.ClusterBits} with extended L2 entries; at least {MinimumClusterBitsExtendedL2} are needed");
        }

        int compression = length > CompressionType ? cluster[CompressionType] : 0;
        bool otherCompression = (incompatible & Header.IncompatibleFeatures.CompressionType) != 0;
        if (compression > 1 || (compression == 1) != otherCompression)
        {
            throw Bad(file, Qcow2Fault.InvalidField, CompressionType, $"compression_type is {compression}; 0, or 1 together with its feature bit, is allowed");
        }

        return header with
        {
            Incompatible = incompatible,
            Compatible = (CompatibleFeatures)U64(cluster, HeaderLayout.CompatibleFeatures),
            Autoclear = (AutoclearFeatures)U64(cluster, HeaderLayout.AutoclearFeatures),
            HeaderLength = (int)length,
            RefcountOrder = (int)order,
        };
    }

    private static void RefuseUnserved(IncompatibleFeatures incompatible, IImageFile file)
    {
        const int At = HeaderLayout.IncompatibleFeatures;
        if ((incompatible & Header.IncompatibleFeatures.Corrupt) != 0)
        {
            throw Bad(file, Qcow2Fault.MarkedCorrupt, At, "the image is marked corrupt; repair it with `qemu-img check -r all` first");
        }

        if ((incompatible & Header.IncompatibleFeatures.ExternalDataFile) != 0)
        {
            throw Bad(file, Qcow2Fault.ExternalDataFile, At, "the image keeps its data in another file; only images with data inside are served");
        }

        if ((incompatible & ~Served) != 0)
        {
            throw Bad(file, Qcow2Fault.UnsupportedFeature, At, $"unknown incompatible feature bits 0x{(ulong)(incompatible & ~Served):x}; 0x{(ulong)Served:x} are served");
        }
    }

    private static void RefuseEncryption(byte[] cluster, IImageFile file)
    {
        uint method = U32(cluster, CryptMethod);
        if (method != 0)
        {
            Qcow2Fault fault = method <= 2 ? Qcow2Fault.Encrypted : Qcow2Fault.InvalidField;
            throw Bad(file, fault, CryptMethod, $"the image is encrypted (crypt_method {method}); only plain images (0) are served");
        }
    }

    private static Qcow2Header WithTables(Qcow2Header header, byte[] cluster, IImageFile file)
    {
        uint l1Entries = U32(cluster, L1Size);
        if (l1Entries > MaximumL1Entries)
        {
            throw Bad(file, Qcow2Fault.TooLarge, L1Size, $"l1_size is {l1Entries} entries; at most {MaximumL1Entries} (32 MiB) are allowed");
        }

        long needed = new Tables.Geometry(header.ClusterBits, header.ExtendedL2, header.RefcountOrder).L1EntriesFor(header.SizeBytes);
        if (l1Entries < needed)
        {
            throw Bad(file, Qcow2Fault.InvalidField, L1Size, $"l1_size is {l1Entries} entries; the virtual size of {header.SizeBytes} bytes needs {needed}");
        }

        RequireInFile(file, cluster.Length, header.L1Offset, l1Entries * 8L, L1TableOffset, "L1 table");

        uint tableClusters = U32(cluster, RefcountTableClusters);
        if (tableClusters == 0)
        {
            throw Bad(file, Qcow2Fault.InvalidField, RefcountTableClusters, "refcount_table_clusters is 0; at least 1 is needed");
        }

        if (tableClusters > MaximumRefcountTableBytes / cluster.Length)
        {
            throw Bad(file, Qcow2Fault.TooLarge, RefcountTableClusters, $"refcount_table_clusters is {tableClusters}; at most {MaximumRefcountTableBytes / cluster.Length} (8 MiB) are allowed");
        }

        RequireInFile(file, cluster.Length, header.RefcountTableOffset, (long)tableClusters * cluster.Length, RefcountTableOffset, "refcount table");

        uint snapshots = U32(cluster, SnapshotCount);
        if (snapshots > MaximumSnapshots)
        {
            throw Bad(file, Qcow2Fault.TooLarge, SnapshotCount, $"nb_snapshots is {snapshots}; at most {MaximumSnapshots} are allowed");
        }

        RequireInFile(file, cluster.Length, header.SnapshotsOffset, snapshots * (long)SnapshotTable.MinimumEntryBytes, SnapshotsOffset, "snapshot table");
        return header with { L1Entries = (int)l1Entries, RefcountTableClusters = (int)tableClusters, SnapshotCount = (int)snapshots };
    }

    private static Qcow2Header WithNames(Qcow2Header header, byte[] cluster, IImageFile file)
    {
        ulong nameOffset = U64(cluster, BackingFileOffset);
        uint nameBytes = U32(cluster, BackingFileSize);
        if (nameOffset != 0)
        {
            if (nameBytes > MaximumBackingNameBytes)
            {
                throw Bad(file, Qcow2Fault.TooLarge, BackingFileSize, $"backing file name of {nameBytes} bytes; at most {MaximumBackingNameBytes} are allowed");
            }

            if (nameOffset < (ulong)header.HeaderLength || nameOffset + nameBytes > (ulong)cluster.Length || nameOffset + nameBytes < nameOffset)
            {
                throw Bad(file, Qcow2Fault.OutOfFile, BackingFileOffset, $"backing file name at {nameOffset}, {nameBytes} bytes; it must lie between the header's end ({header.HeaderLength}) and the first cluster's ({cluster.Length})");
            }
        }

        int areaEnd = nameOffset == 0 ? cluster.Length : (int)nameOffset;
        HeaderExtensions extensions = HeaderExtensions.Parse(cluster.AsSpan(header.HeaderLength..areaEnd), header.HeaderLength, file.Path);
        if (extensions.Bitmaps is { } bitmaps && (header.Autoclear & Header.AutoclearFeatures.Bitmaps) != 0)
        {
            RequireInFile(file, cluster.Length, bitmaps.DirectoryOffset, bitmaps.DirectoryBytes, header.HeaderLength, "bitmap directory");
        }

        string name = nameOffset == 0 ? "" : Encoding.UTF8.GetString(cluster, (int)nameOffset, (int)nameBytes);
        if (name.Contains('\0', StringComparison.Ordinal))
        {
            throw Bad(file, Qcow2Fault.InvalidField, (long)nameOffset, "the backing file name holds a NUL byte");
        }

        return header with
        {
            Backing = name.Length == 0 ? null : new Qcow2Backing(name, extensions.BackingFormat),
            Bitmaps = extensions.Bitmaps,
        };
    }

    /// <summary>The last cluster of a file may be cut short, so the file counts as rounded up to whole clusters.</summary>
    private static void RequireInFile(IImageFile file, int clusterBytes, long offset, long bytes, int field, string what)
    {
        if (bytes == 0)
        {
            return;
        }

        if (offset == 0 || offset % clusterBytes != 0)
        {
            throw Bad(file, Qcow2Fault.Misaligned, field, $"{what} at {offset}; a multiple of the cluster size {clusterBytes}, not 0, is allowed");
        }

        long fileEnd = (file.LengthBytes + clusterBytes - 1) / clusterBytes * clusterBytes;
        if (offset > fileEnd - bytes)
        {
            throw Bad(file, Qcow2Fault.OutOfFile, field, $"{what} at {offset}, {bytes} bytes; the file ends at {file.LengthBytes}");
        }
    }

    private static async ValueTask<byte[]> ReadBytesAsync(IImageFile file, int count)
    {
        byte[] bytes = new byte[count];
        BlockStatus status = await file.ReadAsync(0, bytes);
        return status == BlockStatus.Ok ? bytes : throw Bad(file, Qcow2Fault.Medium, 0, $"the header cannot be read: {status}");
    }

    private static long Size64(byte[] cluster, int at, IImageFile file, string what)
    {
        ulong value = U64(cluster, at);
        return value <= long.MaxValue - (1 << MaximumClusterBits)
            ? (long)value
            : throw Bad(file, Qcow2Fault.TooLarge, at, $"{what} is {value}; at most 2^63 less one cluster is allowed");
    }

    private static uint U32(byte[] bytes, int at) => BinaryPrimitives.ReadUInt32BigEndian(bytes.AsSpan(at));

    private static ulong U64(byte[] bytes, int at) => BinaryPrimitives.ReadUInt64BigEndian(bytes.AsSpan(at));

    private static Qcow2Exception Bad(IImageFile file, Qcow2Fault fault, long at, string message) => new(fault, file.Path, at, message);
}
