using Colo.Blocks;
using Colo.Nbd.Client;
using Colo.Testing;

namespace Colo.PowerCut.Tests;

/// <summary>Three writers of a guest, each in sectors of its own: writes, zeroes, FUA, flushes.</summary>
public sealed class GuestWriters(RecordedRun run, int seed)
{
    private const int Writers = 3;
    private const int LargestSectors = 72;

    private long before;

    /// <summary>Ends when each has made its changes, or the disk is gone.</summary>
    /// <param name="guest">The disk.</param>
    /// <param name="round">For other requests than last time.</param>
    /// <param name="changes">Of each writer.</param>
    /// <param name="firstSector">Of the part of the disk that they write to.</param>
    /// <param name="sectors">Of that part; all of the disk where it is not said.</param>
    public Task WriteAsync(NbdClientDevice guest, int round, int changes, long firstSector = 0, long? sectors = null)
    {
        before = run.Journal.Changes;
        long share = (sectors ?? run.Journal.Sectors) / Writers;
        return Task.WhenAll(Enumerable.Range(0, Writers).Select(writer => Task.Run(
            () => WriteAsync(guest, new Random((seed * 31) + (round * Writers) + writer), firstSector + (writer * share), share, changes))));
    }

    /// <summary>Each has made so many changes of the round, about.</summary>
    public Task WhenUnderWayAsync(int changes) =>
        Eventually.TrueAsync(() => run.Journal.Changes > before + (Writers * changes), "the guest is under way");

    /// <summary>In sectors of its own, one after another, until the primary is gone.</summary>
    private async Task WriteAsync(NbdClientDevice guest, Random random, long from, long share, int changes)
    {
        for (int i = 0; i < changes; i++)
        {
            int count = 1 + random.Next(random.Next(1, LargestSectors));
            long first = from + random.NextInt64(share - count);
            GuestChange change = run.Journal.Ask(first, count, zeroes: random.Next(8) == 0, forceUnitAccess: random.Next(10) == 0);
            RequestFlags flags = change.ForceUnitAccess ? RequestFlags.ForceUnitAccess : RequestFlags.None;
            BlockStatus status = change.Zeroes
                ? await guest.WriteZeroesAsync(new(first * CrashImage.SectorBytes, (long)count * CrashImage.SectorBytes), flags)
                : await guest.WriteAsync(first * CrashImage.SectorBytes, GuestJournal.Payload(change), flags);
            if (status != BlockStatus.Ok)
            {
                return;
            }

            change.Acknowledged = GuestJournal.Now;
            if (random.Next(6) == 0)
            {
                long asked = GuestJournal.Now;
                if (await guest.FlushAsync() != BlockStatus.Ok)
                {
                    return;
                }

                run.Journal.Flushed(asked);
            }
        }
    }
}
