using System.Buffers.Binary;
using System.Numerics;

namespace Colo.Agent.Volumes;

/// <summary>
/// A piece of the map of dirty grains as it lies in its file: 512 bytes, which a disk writes whole or not at all, of which 504 are bits and
/// the rest a magic and a CRC-32C. What is damaged reads as all dirty: copied once too often, never once too little.
/// </summary>
internal static class MapSector
{
    public const int Bytes = 512;
    public const int BitBytes = 504;

    private const uint Magic = 0x50414d43;
    private const int ChecksumAt = BitBytes + sizeof(uint);

    public static long CountOf(long storedBytes) => (storedBytes + BitBytes - 1) / BitBytes;

    /// <param name="sector">As it was read.</param>
    /// <param name="index">Its place: one that was written to another is damaged.</param>
    /// <param name="bits">At most <see cref="BitBytes"/>.</param>
    /// <returns>False where it is damaged, or was never written.</returns>
    public static bool TryRead(ReadOnlySpan<byte> sector, long index, Span<byte> bits)
    {
        if (!IsWhole(sector, index))
        {
            bits.Fill(0xff);
            return false;
        }

        sector[..bits.Length].CopyTo(bits);
        return true;
    }

    /// <summary>Puts a part of the stored bits into the sectors that hold it.</summary>
    /// <param name="sectors">Whole ones, as they were read, from <paramref name="firstIndex"/> on.</param>
    /// <param name="offsetBytes">Of <paramref name="source"/> in the stored bits.</param>
    public static void Write(Span<byte> sectors, long firstIndex, long offsetBytes, ReadOnlySpan<byte> source)
    {
        long index = firstIndex;
        int within = (int)(offsetBytes - (firstIndex * BitBytes));
        for (; !source.IsEmpty; sectors = sectors[Bytes..], index++, within = 0)
        {
            Span<byte> sector = sectors[..Bytes];
            int length = Math.Min(source.Length, BitBytes - within);
            if (!IsWhole(sector, index))
            {
                // Whatever it said of the grains beside is lost.
                sector.Fill(0xff);
            }

            source[..length].CopyTo(sector[within..]);
            BinaryPrimitives.WriteUInt32LittleEndian(sector[BitBytes..], Magic);
            BinaryPrimitives.WriteUInt32LittleEndian(sector[ChecksumAt..], Checksum(sector, index));
            source = source[length..];
        }
    }

    private static bool IsWhole(ReadOnlySpan<byte> sector, long index) =>
        BinaryPrimitives.ReadUInt32LittleEndian(sector[BitBytes..]) == Magic
        && BinaryPrimitives.ReadUInt32LittleEndian(sector[ChecksumAt..]) == Checksum(sector, index);

    private static uint Checksum(ReadOnlySpan<byte> sector, long index)
    {
        uint crc = BitOperations.Crc32C(uint.MaxValue, (ulong)index);
        for (ReadOnlySpan<byte> rest = sector[..ChecksumAt]; rest.Length > 0;)
        {
            if (rest.Length >= sizeof(ulong))
            {
                crc = BitOperations.Crc32C(crc, BinaryPrimitives.ReadUInt64LittleEndian(rest));
                rest = rest[sizeof(ulong)..];
            }
            else
            {
                crc = BitOperations.Crc32C(crc, BinaryPrimitives.ReadUInt32LittleEndian(rest));
                rest = rest[sizeof(uint)..];
            }
        }

        return ~crc;
    }
}
