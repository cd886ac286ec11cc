using Colo.Agent.Volumes;
using Colo.AgentApi;
using Colo.Blocks;
using Colo.Simulation.World;

namespace Colo.Simulation.Checks;

/// <summary>
/// The guest's disk from one promotion to the next: at each one the whole disk that is about to be served is read, and every sector must be
/// what the recovery point promises. Invariants 2, 3 and 8.
/// </summary>
internal sealed class Lives(SimWorld world, Registers registers, CheckpointChecks checkpoints)
{
    private const int PieceBytes = 64 << 10;

    /// <summary>Of the newest primary that has been promoted.</summary>
    public long Term { get; private set; } = 1;

    /// <summary>A primary is about to serve this disk again, from where it was.</summary>
    public void Resumes(Machine machine)
    {
        if (machine.HasLostWrites)
        {
            machine.HasLostWrites = false;
            registers.LosePower();
            world.Trace.Say($"{machine.Node} serves a disk that lost power");
        }
    }

    public async Task PromotedAsync(Machine machine, ReplicaSpec spec, IBlockDevice served, bool resumed)
    {
        byte[] disk = new byte[served.LengthBytes];
        for (int at = 0; at < disk.Length; at += PieceBytes)
        {
            if (await served.ReadAsync(at, disk.AsMemory(at, Math.Min(PieceBytes, disk.Length - at))) != BlockStatus.Ok)
            {
                // A disk that cannot be read shows nothing wrong either.
                return;
            }
        }

        if (world.IsDeadAgent(machine))
        {
            return;
        }

        int[] values = Content.ValuesOf(disk);
        if (spec.RecoveryPoint == RecoveryPoint.LastCheckpoint && spec.Term > Term)
        {
            checkpoints.Promoted(machine, values);
            registers.Reset(values, spec.Term);
            machine.HasLostWrites = false;
        }
        else
        {
            Resumes(machine);
            long asked = registers.Tick();
            for (int sector = 0; sector < values.Length; sector++)
            {
                if (registers.Check(sector, values[sector], asked, settles: true) is { } wrong)
                {
                    world.Violated(new("3 failover gives every acknowledged write", $"{machine.Node} is promoted under term {spec.Term}: {wrong}"));
                    return;
                }
            }
        }

        _ = resumed;
        Term = Math.Max(Term, spec.Term);
        world.Trace.Say($"{machine.Node} is promoted under term {spec.Term} ({spec.RecoveryPoint})");
    }
}
