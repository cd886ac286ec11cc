using System.Buffers.Binary;

namespace Colo.Qcow2.Tables;

/// <summary>
/// A part of an L2 table in memory. Changed under the mapping lock only, after the file was; read without it: a word's host offset
/// is stored before the bitmap that says there is something in it, and read after.
/// </summary>
internal sealed class L2Slice(Geometry geometry, int l1Index, int sliceIndex)
{
    private readonly ulong[] words = new ulong[geometry.SliceEntries * geometry.L2EntryWords];

    public int L1Index => l1Index;

    public int SliceIndex => sliceIndex;

    /// <summary>Set by every use; the eviction's hand clears it.</summary>
    public bool IsUsed { get; set; } = true;

    public int SizeBytes => words.Length * sizeof(ulong);

    public L2Entry this[int index]
    {
        get
        {
            if (!geometry.ExtendedL2)
            {
                return L2Entry.Decode(Volatile.Read(ref words[index]), 0, extended: false);
            }

            ulong bitmap = Volatile.Read(ref words[(2 * index) + 1]);
            return L2Entry.Decode(Volatile.Read(ref words[2 * index]), bitmap, extended: true);
        }
    }

    public void Set(int index, L2Entry entry)
    {
        if (!geometry.ExtendedL2)
        {
            Volatile.Write(ref words[index], entry.Word(extended: false));
            return;
        }

        Volatile.Write(ref words[2 * index], entry.Word(extended: true));
        Volatile.Write(ref words[(2 * index) + 1], entry.Bitmap());
    }

    /// <summary>Fills the slice from the table's bytes; null where all is well, otherwise what is wrong.</summary>
    public string? Load(ReadOnlySpan<byte> bytes, int version)
    {
        int step = geometry.L2EntryWords;
        for (int i = 0; i < words.Length; i += step)
        {
            ulong word = BinaryPrimitives.ReadUInt64BigEndian(bytes[(i * 8)..]);
            ulong bitmap = step == 2 ? BinaryPrimitives.ReadUInt64BigEndian(bytes[((i + 1) * 8)..]) : 0;
            if ((word & L2Entry.Compressed) != 0)
            {
                return "a compressed cluster";
            }

            if (L2Entry.Judge(word, bitmap, geometry.ExtendedL2, version) is { } wrong)
            {
                return wrong;
            }

            words[i] = word;
            if (step == 2)
            {
                words[i + 1] = bitmap;
            }
        }

        return null;
    }
}
