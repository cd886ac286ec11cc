using System.Buffers.Binary;

namespace Colo.Testing.Disks;

/// <summary>Bodies of answers, as linux/fuse.h lays them out.</summary>
internal static class FuseReply
{
    public const int EntryBytes = 128;
    public const int AttributesBytes = 104;
    public const int OpenBytes = 16;

    /// <summary>Nobody else changes the files: the kernel may keep what it knows for long.</summary>
    private const ulong ValidSeconds = 60;
    private const int EntryAttributesAt = 40;
    private const int AttributesAt = 16;

    public static int Entry(Span<byte> to, ulong node, ReadOnlySpan<byte> statx)
    {
        to[..EntryBytes].Clear();
        BinaryPrimitives.WriteUInt64LittleEndian(to, node);
        BinaryPrimitives.WriteUInt64LittleEndian(to[16..], ValidSeconds);
        BinaryPrimitives.WriteUInt64LittleEndian(to[24..], ValidSeconds);
        Attributes(to[EntryAttributesAt..], statx);
        return EntryBytes;
    }

    public static int AttributesOf(Span<byte> to, ReadOnlySpan<byte> statx)
    {
        to[..AttributesBytes].Clear();
        BinaryPrimitives.WriteUInt64LittleEndian(to, ValidSeconds);
        Attributes(to[AttributesAt..], statx);
        return AttributesBytes;
    }

    /// <summary>fuse_statx_out: with the time of birth, which fuse_attr has no place for.</summary>
    public static int Statx(Span<byte> to, ReadOnlySpan<byte> statx)
    {
        to[..32].Clear();
        BinaryPrimitives.WriteUInt64LittleEndian(to, ValidSeconds);
        statx[..Posix.StatxBytes].CopyTo(to[32..]);
        BinaryPrimitives.WriteUInt32LittleEndian(to[32..], BinaryPrimitives.ReadUInt32LittleEndian(statx) & Posix.StatxAll);
        to[(32 + 144)..(32 + Posix.StatxBytes)].Clear();
        return 32 + Posix.StatxBytes;
    }

    public static int Opened(Span<byte> to, ulong handle)
    {
        to[..OpenBytes].Clear();
        BinaryPrimitives.WriteUInt64LittleEndian(to, handle);
        return OpenBytes;
    }

    /// <summary>fuse_kstatfs, from struct statfs.</summary>
    public static int FileSystem(Span<byte> to, ReadOnlySpan<long> statfs)
    {
        to[..80].Clear();
        for (int i = 0; i < 5; i++)
        {
            BinaryPrimitives.WriteInt64LittleEndian(to[(8 * i)..], statfs[2 + i]);
        }

        BinaryPrimitives.WriteUInt32LittleEndian(to[40..], (uint)statfs[1]);
        BinaryPrimitives.WriteUInt32LittleEndian(to[44..], (uint)statfs[8]);
        BinaryPrimitives.WriteUInt32LittleEndian(to[48..], (uint)statfs[9]);
        return 80;
    }

    /// <summary>fuse_attr: of statx at 32 inode, size, blocks; at 64 access, 96 change, 112 modification.</summary>
    private static void Attributes(Span<byte> to, ReadOnlySpan<byte> statx)
    {
        statx[32..56].CopyTo(to);
        ReadOnlySpan<int> times = [64, 112, 96];
        for (int i = 0; i < times.Length; i++)
        {
            statx.Slice(times[i], 8).CopyTo(to[(24 + (8 * i))..]);
            statx.Slice(times[i] + 8, 4).CopyTo(to[(48 + (4 * i))..]);
        }

        BinaryPrimitives.WriteUInt32LittleEndian(to[60..], BinaryPrimitives.ReadUInt16LittleEndian(statx[28..]));
        statx[16..28].CopyTo(to[64..]);
        statx[4..8].CopyTo(to[80..]);
    }
}
