using Colo.AgentApi;
using Colo.Replication;
using Colo.Simulation.World;

namespace Colo.Simulation.Checks;

/// <summary>
/// A bit of a primary's map goes, by itself or with the map at the end of a resync: then the target's stable storage holds that grain as the
/// primary's disk does, except what a guest wrote since the flush that the target answered. Invariant 6.
/// </summary>
internal sealed class ClearingChecks(SimWorld world)
{
    private const string Promise = "6 a bit is cleared only after the target's durable answer";

    /// <summary>When the latest flush that this primary's target has answered was asked for.</summary>
    private readonly Dictionary<string, (string Peer, long AskedAt)> flushed = new(StringComparer.Ordinal);

    public void Attached(Machine primary, string peer) => flushed[primary.Node] = (peer, -1);

    public void Flushed(Machine primary, string peer, long askedAt) => flushed[primary.Node] = (peer, askedAt);

    /// <summary>Bits are about to be written.</summary>
    public void Writes(Machine machine, LineageFiles files, long offsetBytes, ReadOnlySpan<byte> bits)
    {
        if (!IsPrimary(machine) || files.Record.Base.IsNone)
        {
            return;
        }

        for (int i = 0; i < bits.Length; i++)
        {
            for (int bit = 0; bit < 8; bit++)
            {
                long grain = ((offsetBytes + i) * 8) + bit;
                if ((bits[i] & (1 << bit)) == 0 && files.IsMarked(grain * LineageFiles.GrainBytes))
                {
                    Check(machine, files, grain);
                    world.Coverage.Count("check:6 cleared");
                }
            }
        }
    }

    /// <summary>The record is about to be written: where it says that no map is kept any more, all bits are cleared.</summary>
    public void Writes(Machine machine, LineageFiles files, LineageRecord next)
    {
        if (!IsPrimary(machine) || files.Record.Base.IsNone || !next.Base.IsNone || next.Current.IsNone || next.Current != files.Record.Current)
        {
            return;
        }

        for (long grain = 0; grain < files.GrainCount; grain++)
        {
            if (files.IsMarked(grain * LineageFiles.GrainBytes))
            {
                Check(machine, files, grain);
            }
        }

        if (world.Machine(files.Record.PeerNode).Medium is not null)
        {
            AncestryChecks.Equal(machine, world.Machine(files.Record.PeerNode));
        }

        world.Coverage.Count("check:6 map ended");
    }

    private static bool IsPrimary(Machine machine) => machine.State?.Spec.Role == Role.Primary;

    private void Check(Machine machine, LineageFiles files, long grain)
    {
        Machine target = world.Machine(files.Record.PeerNode);
        if (!EqualCopies.AreComparable(world, machine, target) || !flushed.TryGetValue(machine.Node, out (string Peer, long AskedAt) last))
        {
            return;
        }

        int first = (int)(grain * LineageFiles.GrainBytes / Medium.SectorBytes);
        int end = Math.Min(first + (LineageFiles.GrainBytes / Medium.SectorBytes), machine.Medium!.Sectors);
        foreach (int sector in EqualCopies.Differing(world, machine, target, first, end, stable: true, last.AskedAt))
        {
            world.Violated(new(Promise, $"{machine.Node} clears grain {grain}, and sector {sector} is not stable on {target.Node}"));
            return;
        }
    }
}
