using System.Buffers.Binary;

namespace Colo.Qcow2.Check;

/// <summary>One entry of the bitmap directory (qcow2.txt, "Bitmap directory"), as far as its clusters go.</summary>
internal readonly record struct BitmapEntry(long TableOffset, uint TableEntries, int EntryBytes)
{
    public const int FixedBytes = 24;

    public static BitmapEntry Parse(ReadOnlySpan<byte> bytes)
    {
        long tableOffset = (long)(BinaryPrimitives.ReadUInt64BigEndian(bytes) & long.MaxValue);
        uint entries = BinaryPrimitives.ReadUInt32BigEndian(bytes[8..]);
        int nameBytes = BinaryPrimitives.ReadUInt16BigEndian(bytes[18..]);
        uint extraBytes = Math.Min(BinaryPrimitives.ReadUInt32BigEndian(bytes[20..]), 1 << 20);
        return new(tableOffset, entries, (FixedBytes + (int)extraBytes + nameBytes + 7) & ~7);
    }
}
