using Colo.Replication;
using Colo.Simulation.Engine;

namespace Colo.Simulation.World;

/// <summary>What one machine's disk holds: what is on stable storage, and what a read returns now (the page cache over it). Outlives processes; a
/// power loss takes from the cache what was not flushed, by sectors, each kept or lost for itself: so writes are torn and reordered.</summary>
internal sealed class Medium
{
    public const int SectorBytes = 512;

    private readonly byte[] durable;
    private readonly byte[] cache;

    /// <summary>Differ from the durable content and are not given up by a failed fsync.</summary>
    private readonly bool[] dirty;

    /// <summary>Latent errors: a read answers EIO until they are written to.</summary>
    private readonly HashSet<int> unreadable = [];

    public Medium(long lengthBytes)
    {
        durable = new byte[lengthBytes];
        cache = new byte[lengthBytes];
        dirty = new bool[lengthBytes / SectorBytes];
    }

    private Medium(Medium other)
    {
        durable = (byte[])other.durable.Clone();
        cache = (byte[])other.durable.Clone();
        dirty = new bool[other.dirty.Length];
        Generations = [.. other.Generations];
    }

    /// <summary>What this content descends from, as the world saw it; no replica is asked.</summary>
    public HashSet<GenerationId> Generations { get; } = [];

    public long LengthBytes => cache.Length;

    public int Sectors => dirty.Length;

    public ReadOnlySpan<byte> Content => cache;

    /// <summary>What a read returns now.</summary>
    public ReadOnlySpan<byte> Sector(int sector) => Sector(cache, sector);

    /// <summary>What a power loss would surely leave.</summary>
    public ReadOnlySpan<byte> StableSector(int sector) => Sector(durable, sector);

    public void Spoil(int sector) => unreadable.Add(sector);

    /// <summary>The drive reads them after all.</summary>
    public void Recover() => unreadable.Clear();

    public bool IsReadable(long offsetBytes, int length)
    {
        for (int sector = (int)(offsetBytes / SectorBytes); unreadable.Count > 0 && sector <= (offsetBytes + length - 1) / SectorBytes; sector++)
        {
            if (unreadable.Contains(sector))
            {
                return false;
            }
        }

        return true;
    }

    public void Read(long offsetBytes, Span<byte> destination) => cache.AsSpan((int)offsetBytes, destination.Length).CopyTo(destination);

    public void Write(long offsetBytes, ReadOnlySpan<byte> source)
    {
        source.CopyTo(cache.AsSpan((int)offsetBytes));
        int last = (int)((offsetBytes + source.Length - 1) / SectorBytes);
        for (int sector = (int)(offsetBytes / SectorBytes); sector <= last; sector++)
        {
            dirty[sector] = true;
            unreadable.Remove(sector);
        }
    }

    public int[] DirtySectors() => [.. Enumerable.Range(0, dirty.Length).Where(s => dirty[s])];

    public void MakeDurable(IReadOnlyList<int> sectors)
    {
        foreach (int sector in sectors)
        {
            Sector(cache, sector).CopyTo(Sector(durable, sector));
            dirty[sector] = false;
        }
    }

    /// <summary>As Linux does after a failed writeback: the pages are clean, and still not on the disk.</summary>
    public void GiveUp(IReadOnlyList<int> sectors)
    {
        foreach (int sector in sectors)
        {
            dirty[sector] = false;
        }
    }

    /// <returns>Sectors whose newest content is gone.</returns>
    public int LosePower(Dice dice)
    {
        int lost = 0;
        for (int sector = 0; sector < dirty.Length; sector++)
        {
            Span<byte> newest = Sector(cache, sector);
            Span<byte> stable = Sector(durable, sector);
            if (newest.SequenceEqual(stable))
            {
                continue;
            }

            // Of a failed writeback nothing was kept; the rest the kernel may have written back at any time.
            if (dirty[sector] && dice.Chance(0.5))
            {
                newest.CopyTo(stable);
            }
            else
            {
                stable.CopyTo(newest);
                lost++;
            }

            dirty[sector] = false;
        }

        Array.Clear(dirty);
        return lost;
    }

    /// <summary>What a backup of the powered-off machine would hold.</summary>
    public Medium Copy() => new(this);

    private static Span<byte> Sector(byte[] of, int sector) => of.AsSpan(sector * SectorBytes, SectorBytes);
}
