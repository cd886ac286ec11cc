using System.Buffers.Binary;
using Colo.Linux;
using Colo.Replication;

namespace Colo.Agent.Volumes;

/// <summary>
/// A piece of the map of dirty grains as it lies in its file: 512 bytes, which a disk writes whole or not at all, of which 504 are bits and
/// the rest its number and a CRC-32C of both. What is damaged reads as all different: copied once too often, never once too little.
/// </summary>
internal static class MapSector
{
    public const int Bytes = 512;
    public const int BitBytes = ILineageStore.MapUnitBytes;

    private const int ChecksumAt = Bytes - sizeof(uint);

    public static long CountOf(long storedBytes) => (storedBytes + BitBytes - 1) / BitBytes;

    /// <param name="sector">As it was read.</param>
    /// <param name="number">Its place: one that was written to another is damaged.</param>
    /// <param name="bits">At most <see cref="BitBytes"/>.</param>
    /// <returns>False where it is damaged, or was never written.</returns>
    public static bool TryRead(ReadOnlySpan<byte> sector, long number, Span<byte> bits)
    {
        bool isWhole = BinaryPrimitives.ReadUInt32LittleEndian(sector[BitBytes..]) == (uint)number
            && BinaryPrimitives.ReadUInt32LittleEndian(sector[ChecksumAt..]) == Crc32C.Of(sector[..ChecksumAt]);
        if (isWhole)
        {
            sector[..bits.Length].CopyTo(bits);
        }
        else
        {
            bits.Fill(byte.MaxValue);
        }

        return isWhole;
    }

    /// <summary>Fills sectors that were zero, from number <paramref name="first"/> on, with these bits: whole units, but for the map's last.</summary>
    public static void Write(Span<byte> sectors, long first, ReadOnlySpan<byte> bits)
    {
        for (long number = first; !bits.IsEmpty; number++, sectors = sectors[Bytes..])
        {
            int length = Math.Min(BitBytes, bits.Length);
            bits[..length].CopyTo(sectors);
            BinaryPrimitives.WriteUInt32LittleEndian(sectors[BitBytes..], (uint)number);
            BinaryPrimitives.WriteUInt32LittleEndian(sectors[ChecksumAt..], Crc32C.Of(sectors[..ChecksumAt]));
            bits = bits[length..];
        }
    }
}
