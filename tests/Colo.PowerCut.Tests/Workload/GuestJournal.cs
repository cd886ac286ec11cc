using System.Buffers.Binary;

namespace Colo.PowerCut.Tests;

/// <summary>A change that the guest asked for. Every sector of it can be told from any other by its content.</summary>
/// <param name="Number">1 and more; rises in the order in which changes of the same sector were asked for.</param>
public sealed record GuestChange(long Number, long FirstSector, int Sectors, bool Zeroes, bool ForceUnitAccess, long Asked)
{
    public long Acknowledged { get; set; } = long.MaxValue;
}

/// <summary>
/// What the guest asked for and what it was answered, with the times of both. Writers own their sectors, so that changes of one sector
/// never overlap in time.
/// </summary>
public sealed class GuestJournal(long sectors)
{
    public const int SectorBytes = CrashImage.SectorBytes;

    private readonly Lock gate = new();
    private readonly List<GuestChange>[] bySector = [.. Enumerable.Range(0, (int)sectors).Select(_ => new List<GuestChange>())];
    private readonly List<(long Asked, long Acknowledged)> flushes = [];
    private long numbers;

    public long Sectors => sectors;

    public long Changes => Interlocked.Read(ref numbers);

    public int Flushes
    {
        get
        {
            lock (gate)
            {
                return flushes.Count;
            }
        }
    }

    /// <summary>Nanoseconds since 1970, of the clock by which the recording counts.</summary>
    public static long Now => (TimeProvider.System.GetUtcNow() - DateTimeOffset.UnixEpoch).Ticks * 100;

    public GuestChange Ask(long firstSector, int count, bool zeroes, bool forceUnitAccess)
    {
        lock (gate)
        {
            GuestChange change = new(++numbers, firstSector, count, zeroes, forceUnitAccess, Now);
            for (long sector = firstSector; sector < firstSector + count; sector++)
            {
                bySector[sector].Add(change);
            }

            return change;
        }
    }

    public void Flushed(long asked)
    {
        lock (gate)
        {
            flushes.Add((asked, Now));
        }
    }

    public static byte[] Payload(GuestChange change)
    {
        byte[] payload = new byte[change.Sectors * SectorBytes];
        for (int i = 0; i < change.Sectors && !change.Zeroes; i++)
        {
            Fill(payload.AsSpan(i * SectorBytes, SectorBytes), change.Number, change.FirstSector + i);
        }

        return payload;
    }

    /// <summary>What is wrong with a disk after a cut, or null: each sector holds the last change of it that was flushed before the cut, or
    /// one asked for later.</summary>
    /// <param name="disk">All of it.</param>
    /// <param name="certain">What was acknowledged by then, was acknowledged before the cut.</param>
    /// <param name="possible">What was asked for by then may have reached the disk.</param>
    public string? Fault(ReadOnlySpan<byte> disk, long certain, long possible)
    {
        long flushed = flushes.Where(f => f.Acknowledged <= certain).Select(f => f.Asked).DefaultIfEmpty(0).Max();
        return Fault(disk, c => c.Acknowledged <= flushed || (c.ForceUnitAccess && c.Acknowledged <= certain), c => c.Asked <= possible);
    }

    /// <summary>What is wrong with a disk that must hold exactly the changes up to a number, and may hold none after it; or null.</summary>
    public string? FaultAt(ReadOnlySpan<byte> disk, long number) => Fault(disk, c => c.Number <= number, c => c.Number <= number);

    /// <summary>As after a failover to a checkpoint: the changes up to a number, none of those that the lost primary alone was asked for, and
    /// what was asked of the new one.</summary>
    public string? FaultAfterFailover(ReadOnlySpan<byte> disk, long checkpoint, long lastOfOldPrimary, long certain, long possible)
    {
        long flushed = flushes.Where(f => f.Acknowledged <= certain).Select(f => f.Asked).DefaultIfEmpty(0).Max();
        return Fault(
            disk,
            c => c.Number <= checkpoint || (c.Number > lastOfOldPrimary && (c.Acknowledged <= flushed || (c.ForceUnitAccess && c.Acknowledged <= certain))),
            c => c.Number <= checkpoint || (c.Number > lastOfOldPrimary && c.Asked <= possible));
    }

    private string? Fault(ReadOnlySpan<byte> disk, Func<GuestChange, bool> mustBeThere, Func<GuestChange, bool> mayBeThere)
    {
        Span<byte> expected = stackalloc byte[SectorBytes];
        for (int sector = 0; sector < sectors; sector++)
        {
            ReadOnlySpan<byte> found = disk.Slice(sector * SectorBytes, SectorBytes);
            List<GuestChange> history = bySector[sector];
            int from = history.FindLastIndex(c => mustBeThere(c));
            bool matches = from < 0 && found.IndexOfAnyExcept((byte)0) < 0;
            for (int i = Math.Max(from, 0); i < history.Count && !matches; i++)
            {
                GuestChange change = history[i];
                if (i == from || mayBeThere(change))
                {
                    expected.Clear();
                    if (!change.Zeroes)
                    {
                        Fill(expected, change.Number, sector);
                    }

                    matches = found.SequenceEqual(expected);
                }
            }

            if (!matches)
            {
                string must = from < 0 ? "nothing" : $"change {history[from].Number}{(history[from].Zeroes ? " (zeroes)" : "")}";
                return $"sector {sector}: {must} or later was due, there is {Describe(found, sector)}; its history: "
                    + string.Join(", ", history.Skip(Math.Max(0, from - 2)).Take(8).Select(c => c.Number));
            }
        }

        return null;
    }

    private static string Describe(ReadOnlySpan<byte> found, long sector)
    {
        long number = BinaryPrimitives.ReadInt64LittleEndian(found);
        Span<byte> expected = stackalloc byte[SectorBytes];
        Fill(expected, number, sector);
        return found.IndexOfAnyExcept((byte)0) < 0 ? "zeroes" : found.SequenceEqual(expected) ? $"change {number}" : "what nobody wrote there";
    }

    private static void Fill(Span<byte> sector, long number, long index)
    {
        BinaryPrimitives.WriteInt64LittleEndian(sector, number);
        BinaryPrimitives.WriteInt64LittleEndian(sector[8..], index);
        ulong state = ((ulong)number * 0x9E3779B97F4A7C15) ^ (ulong)index;
        for (int at = 16; at < SectorBytes; at += 8)
        {
            state = (state * 6364136223846793005) + 1442695040888963407;
            BinaryPrimitives.WriteUInt64LittleEndian(sector[at..], state);
        }
    }
}
