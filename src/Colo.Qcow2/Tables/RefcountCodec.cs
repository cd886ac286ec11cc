using System.Buffers.Binary;

namespace Colo.Qcow2.Tables;

/// <summary>Refcounts of 1 to 64 bits in a refcount block: big-endian; below a byte, the first in the lowest bits.</summary>
internal static class RefcountCodec
{
    public static ulong Get(ReadOnlySpan<byte> block, int order, long index)
    {
        int i = (int)index;
        switch (order)
        {
            case 3:
                return block[i];
            case 4:
                return BinaryPrimitives.ReadUInt16BigEndian(block[(i * 2)..]);
            case 5:
                return BinaryPrimitives.ReadUInt32BigEndian(block[(i * 4)..]);
            case 6:
                return BinaryPrimitives.ReadUInt64BigEndian(block[(i * 8)..]);
            default:
                int bits = 1 << order;
                int perByte = 8 / bits;
                return (ulong)(block[i / perByte] >> (i % perByte * bits)) & ((1UL << bits) - 1);
        }
    }

    public static void Set(Span<byte> block, int order, long index, ulong value)
    {
        int i = (int)index;
        switch (order)
        {
            case 3:
                block[i] = (byte)value;
                break;
            case 4:
                BinaryPrimitives.WriteUInt16BigEndian(block[(i * 2)..], (ushort)value);
                break;
            case 5:
                BinaryPrimitives.WriteUInt32BigEndian(block[(i * 4)..], (uint)value);
                break;
            case 6:
                BinaryPrimitives.WriteUInt64BigEndian(block[(i * 8)..], value);
                break;
            default:
                int bits = 1 << order;
                int perByte = 8 / bits;
                int shift = i % perByte * bits;
                int mask = ((1 << bits) - 1) << shift;
                block[i / perByte] = (byte)((block[i / perByte] & ~mask) | ((int)value << shift));
                break;
        }
    }

    /// <summary>The bytes of a block that hold the refcounts [first, first + count).</summary>
    public static (int Start, int Length) BytesOf(int order, long first, long count)
    {
        int start = (int)((first << order) >> 3);
        int end = (int)((((first + count) << order) + 7) >> 3);
        return (start, end - start);
    }
}
