using System.Buffers.Binary;
using System.Text;
using static Colo.Qcow2.Header.HeaderLayout;

namespace Colo.Qcow2.Header;

/// <summary>The bytes of a new image's header, and of those fields that change together in one write.</summary>
internal static class HeaderWriter
{
    /// <summary>A whole new header with backing format and name.</summary>
    /// <exception cref="ArgumentException">the names do not fit the first cluster, or the name is too long.</exception>
    public static byte[] NewHeader(Qcow2Header header)
    {
        byte[] name = Encoding.UTF8.GetBytes(header.Backing?.Path ?? "");
        byte[] format = Encoding.UTF8.GetBytes(header.Backing?.Format ?? "");
        int formatBytes = format.Length == 0 ? 0 : 8 + ((format.Length + 7) & ~7);
        int nameOffset = WrittenLength + formatBytes + 8;
        if (name.Length > MaximumBackingNameBytes || nameOffset + name.Length > 1 << header.ClusterBits)
        {
            throw new ArgumentException($"a backing file name of {name.Length} bytes; at most {MaximumBackingNameBytes}, and it must fit the first cluster", nameof(header));
        }

        byte[] bytes = new byte[nameOffset + name.Length];
        Span<byte> b = bytes;
        BinaryPrimitives.WriteUInt32BigEndian(b, Magic);
        BinaryPrimitives.WriteUInt32BigEndian(b[HeaderLayout.Version..], (uint)header.Version);
        if (name.Length > 0)
        {
            BinaryPrimitives.WriteUInt64BigEndian(b[BackingFileOffset..], (ulong)nameOffset);
            BinaryPrimitives.WriteUInt32BigEndian(b[BackingFileSize..], (uint)name.Length);
        }

        BinaryPrimitives.WriteUInt32BigEndian(b[HeaderLayout.ClusterBits..], (uint)header.ClusterBits);
        SizeAndL1(header).CopyTo(b[Size..]);
        L1AndRefcountTable(header).CopyTo(b[L1TableOffset..]);
        BinaryPrimitives.WriteUInt64BigEndian(b[HeaderLayout.IncompatibleFeatures..], (ulong)header.Incompatible);
        BinaryPrimitives.WriteUInt64BigEndian(b[HeaderLayout.CompatibleFeatures..], (ulong)header.Compatible);
        BinaryPrimitives.WriteUInt32BigEndian(b[HeaderLayout.RefcountOrder..], (uint)header.RefcountOrder);
        BinaryPrimitives.WriteUInt32BigEndian(b[HeaderLayout.HeaderLength..], WrittenLength);
        if (format.Length > 0)
        {
            BinaryPrimitives.WriteUInt32BigEndian(b[WrittenLength..], HeaderExtensions.BackingFormatType);
            BinaryPrimitives.WriteUInt32BigEndian(b[(WrittenLength + 4)..], (uint)format.Length);
            format.CopyTo(b[(WrittenLength + 8)..]);
        }

        name.CopyTo(b[nameOffset..]);
        return bytes;
    }

    /// <summary>Virtual size to L1 offset, to be written at <see cref="Size"/>: one write inside the first sector grows an image.</summary>
    public static byte[] SizeAndL1(Qcow2Header header)
    {
        byte[] bytes = new byte[L1TableOffset + 8 - Size];
        BinaryPrimitives.WriteUInt64BigEndian(bytes, (ulong)header.SizeBytes);
        BinaryPrimitives.WriteUInt32BigEndian(bytes.AsSpan(L1Size - Size), (uint)header.L1Entries);
        BinaryPrimitives.WriteUInt64BigEndian(bytes.AsSpan(L1TableOffset - Size), (ulong)header.L1Offset);
        return bytes;
    }

    /// <summary>L1 offset to refcount table size, to be written at <see cref="L1TableOffset"/>: one write inside the first sector
    /// exchanges mapping and refcounts together, so that no kill finds one without the other.</summary>
    public static byte[] L1AndRefcountTable(Qcow2Header header)
    {
        byte[] bytes = new byte[RefcountTableClusters + 4 - L1TableOffset];
        BinaryPrimitives.WriteUInt64BigEndian(bytes, (ulong)header.L1Offset);
        BinaryPrimitives.WriteUInt64BigEndian(bytes.AsSpan(RefcountTableOffset - L1TableOffset), (ulong)header.RefcountTableOffset);
        BinaryPrimitives.WriteUInt32BigEndian(bytes.AsSpan(RefcountTableClusters - L1TableOffset), (uint)header.RefcountTableClusters);
        return bytes;
    }

    public static byte[] U64(ulong value)
    {
        byte[] bytes = new byte[8];
        BinaryPrimitives.WriteUInt64BigEndian(bytes, value);
        return bytes;
    }
}
