using System.Buffers.Binary;
using Colo.Blocks;
using Colo.Simulation.World;

namespace Colo.Simulation.Checks;

/// <summary>What guests write: each sector says which write and which sector it is of, all over its length, so that nothing torn or misplaced
/// passes for content.</summary>
internal static class Content
{
    public const int Torn = -1;

    public static void Fill(Span<byte> buffer, int firstSector, int value)
    {
        for (int i = 0; i < buffer.Length; i += 8)
        {
            BinaryPrimitives.WriteInt32LittleEndian(buffer[i..], value);
            BinaryPrimitives.WriteInt32LittleEndian(buffer[(i + 4)..], firstSector + (i / Medium.SectorBytes));
        }
    }

    /// <summary>The number of the write; 0: zeroes.</summary>
    public static int ValueOf(ReadOnlySpan<byte> sector, int number)
    {
        if (sector.IsAllZero())
        {
            return 0;
        }

        int value = BinaryPrimitives.ReadInt32LittleEndian(sector);
        for (int i = 0; i < sector.Length; i += 8)
        {
            if (BinaryPrimitives.ReadInt32LittleEndian(sector[i..]) != value || BinaryPrimitives.ReadInt32LittleEndian(sector[(i + 4)..]) != number)
            {
                return Torn;
            }
        }

        return value > 0 ? value : Torn;
    }

    public static int[] ValuesOf(ReadOnlySpan<byte> disk, int firstSector = 0)
    {
        int[] values = new int[disk.Length / Medium.SectorBytes];
        for (int i = 0; i < values.Length; i++)
        {
            values[i] = ValueOf(disk.Slice(i * Medium.SectorBytes, Medium.SectorBytes), firstSector + i);
        }

        return values;
    }
}
