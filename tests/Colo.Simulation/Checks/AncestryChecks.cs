using Colo.AgentApi;
using Colo.Replication;
using Colo.Simulation.World;
using ResyncMode = Colo.Replication.ResyncMode;

namespace Colo.Simulation.Checks;

/// <summary>
/// Where each disk's content really comes from, as the world saw it and no replica says it. A resync begins between two that have an
/// ancestor in common, or because somebody asked for a full copy; and what it will not copy is equal. Invariant 10, and the beginning of 9.
/// </summary>
internal sealed class AncestryChecks(SimWorld world)
{
    private const string Promise = "10 unknown lineage never syncs by itself";

    /// <summary>A generation of this machine's content.</summary>
    public static void Drawn(Machine machine, GenerationId id) => machine.Medium?.Generations.Add(id);

    /// <summary>Both have become equal: what one descends from, the other does.</summary>
    public static void Equal(Machine primary, Machine secondary)
    {
        secondary.Medium!.Generations.Clear();
        secondary.Medium.Generations.UnionWith(primary.Medium!.Generations);
    }

    /// <summary>A primary tells its secondary what will become of it; nothing is copied yet.</summary>
    /// <param name="asked">Full: without looking at lineages, because they are not kept or somebody wants it so.</param>
    public void Begins(Machine primary, Machine secondary, LineageAnnouncement told, ResyncMode asked)
    {
        if (primary is not { Medium: { } source, Lineage: { } files } || secondary.Medium is not { } target)
        {
            return;
        }

        bool isFull = !told.IsEqual && Enumerable.Range(0, (int)files.GrainCount).All(g => files.IsMarked((long)g * LineageFiles.GrainBytes));
        world.Coverage.Count($"check:10 {(isFull ? "full" : told.IsEqual ? "as equal" : "by the map")}");
        if (asked != ResyncMode.Full && target.Generations.Count > 0 && !target.Generations.Overlaps(source.Generations))
        {
            world.Violated(new(Promise, $"{secondary.Node} has no ancestor in common with {primary.Node}, which resyncs it"));
        }

        GenerationId from = told.IsEqual ? told.To : told.From;
        if (isFull)
        {
            target.Generations.Add(from);
            return;
        }

        if (!target.Generations.Contains(from) || !source.Generations.Contains(from))
        {
            world.Violated(new(Promise, $"{primary.Node} takes {secondary.Node} for generation {from}, which it never was"));
        }

        CheckMap(primary, secondary, files, told);
    }

    private void CheckMap(Machine primary, Machine secondary, LineageFiles files, LineageAnnouncement told)
    {
        if (!EqualCopies.AreComparable(world, primary, secondary))
        {
            return;
        }

        foreach (int sector in EqualCopies.Differing(world, primary, secondary, 0, primary.Medium!.Sectors, stable: false, since: long.MaxValue))
        {
            long at = (long)sector * Medium.SectorBytes;
            if (!files.IsMarked(at) && !files.Record.Suspects.Contains((int)(at / ActivityLog.ExtentBytes)))
            {
                world.Violated(new(
                    Promise, $"{primary.Node} resyncs {secondary.Node} from {told.From} to {told.To}{(told.IsEqual ? " as equal" : "")}, and sector {sector} differs without a mark"));
                return;
            }
        }
    }
}
