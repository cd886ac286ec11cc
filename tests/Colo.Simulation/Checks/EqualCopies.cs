using Colo.Simulation.World;

namespace Colo.Simulation.Checks;

/// <summary>Where two machines' disks differ though they must not. What a guest is writing, or has written since a moment, may differ.</summary>
internal static class EqualCopies
{
    /// <summary>Nothing can be said of a primary that serves from its buffers, or whose disk has failed a write.</summary>
    public static bool AreComparable(SimWorld world, Machine primary, Machine secondary) =>
        primary is { IsRunning: true, Medium: not null, State.Promoting: false } && secondary is { Medium: not null }
        && primary.Medium.LengthBytes == secondary.Medium.LengthBytes
        && !world.Coverage.Counts.ContainsKey("error:1 PrimaryDisk");

    /// <summary>Sectors of [first, end) that differ and were not being written at <paramref name="since"/> or later.</summary>
    /// <param name="stable">Of the secondary, what a power loss would leave.</param>
    public static IEnumerable<int> Differing(SimWorld world, Machine primary, Machine secondary, int first, int end, bool stable, long since)
    {
        for (int sector = first; sector < end; sector++)
        {
            if (!primary.Medium!.Sector(sector).SequenceEqual(stable ? secondary.Medium!.StableSector(sector) : secondary.Medium!.Sector(sector))
                && !world.Registers.IsWritten(sector, since))
            {
                yield return sector;
            }
        }
    }
}
