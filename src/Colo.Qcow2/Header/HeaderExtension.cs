using System.Buffers.Binary;
using System.Text;

namespace Colo.Qcow2.Header;

/// <summary>The persistent bitmaps' directory (qcow2.txt, "Bitmaps extension").</summary>
internal sealed record BitmapsExtension(uint Count, long DirectoryBytes, long DirectoryOffset);

/// <summary>The extensions that matter to this reader; the others stay in the file as they are.</summary>
internal sealed record HeaderExtensions(string? BackingFormat, BitmapsExtension? Bitmaps)
{
    public const uint BackingFormatType = 0xe2792aca;
    private const uint End = 0;
    private const uint BitmapsType = 0x23852875;
    private const uint FullDiskEncryption = 0x0537be77;
    private const uint ExternalDataFile = 0x44415441;
    private const int BitmapsLength = 24;

    /// <summary>Longest name of a format that QEMU reads.</summary>
    private const int MaximumFormatBytes = 63;

    /// <param name="area">From the end of the header to the backing file's name, or to the end of the cluster.</param>
    public static HeaderExtensions Parse(ReadOnlySpan<byte> area, int areaOffset, string path)
    {
        string? format = null;
        BitmapsExtension? bitmaps = null;
        int at = 0;
        while (area.Length - at >= 8)
        {
            uint type = BinaryPrimitives.ReadUInt32BigEndian(area[at..]);
            uint length = BinaryPrimitives.ReadUInt32BigEndian(area[(at + 4)..]);
            int offset = areaOffset + at;
            at += 8;
            if (type == End)
            {
                break;
            }

            if (length > area.Length - at)
            {
                throw new Qcow2Exception(Qcow2Fault.InvalidField, path, offset, $"header extension 0x{type:x8} of {length} bytes reaches past its area; {area.Length - at} are left");
            }

            ReadOnlySpan<byte> data = area.Slice(at, (int)length);
            switch (type)
            {
                case BackingFormatType when length > MaximumFormatBytes:
                    throw new Qcow2Exception(Qcow2Fault.InvalidField, path, offset, $"backing format name of {length} bytes; at most {MaximumFormatBytes}");
                case BackingFormatType:
                    format = Encoding.UTF8.GetString(data);
                    break;
                case BitmapsType:
                    bitmaps = ParseBitmaps(data, offset, path);
                    break;
                case FullDiskEncryption:
                    throw new Qcow2Exception(Qcow2Fault.Encrypted, path, offset, "the image is encrypted (LUKS header extension); only plain images are served");
                case ExternalDataFile:
                    throw new Qcow2Exception(Qcow2Fault.ExternalDataFile, path, offset, "the image keeps its data in another file; only images with data inside are served");
                default:
                    break;
            }

            at = Math.Min(area.Length, at + (int)((length + 7) & ~7u));
        }

        return new(format, bitmaps);
    }

    private static BitmapsExtension ParseBitmaps(ReadOnlySpan<byte> data, int offset, string path)
    {
        if (data.Length != BitmapsLength)
        {
            throw new Qcow2Exception(Qcow2Fault.InvalidField, path, offset, $"bitmaps extension of {data.Length} bytes; must be {BitmapsLength}");
        }

        uint count = BinaryPrimitives.ReadUInt32BigEndian(data);
        ulong bytes = BinaryPrimitives.ReadUInt64BigEndian(data[8..]);
        ulong at = BinaryPrimitives.ReadUInt64BigEndian(data[16..]);
        if (count is 0 or > HeaderLayout.MaximumBitmaps || bytes > HeaderLayout.MaximumBitmapDirectoryBytes || at > long.MaxValue)
        {
            throw new Qcow2Exception(Qcow2Fault.TooLarge, path, offset, $"{count} bitmaps in a directory of {bytes} bytes; 1 to {HeaderLayout.MaximumBitmaps} in at most {HeaderLayout.MaximumBitmapDirectoryBytes}");
        }

        return new(count, (long)bytes, (long)at);
    }
}
