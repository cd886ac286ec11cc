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
    private const int Tries = 40;

    /// <summary>Of the newest primary that has been promoted.</summary>
    public long Term { get; private set; } = 1;

    /// <summary>Simulated time of its promotion.</summary>
    public TimeSpan PromotedAt { get; private set; }

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

    public async Task PromotedAsync(Machine machine, ReplicaSpec spec, IBlockDevice served)
    {
        byte[] disk = new byte[served.LengthBytes];
        bool isRead = true;
        for (int at = 0; at < disk.Length && isRead; at += PieceBytes)
        {
            isRead = await ReadAsync(served, at, disk.AsMemory(at, Math.Min(PieceBytes, disk.Length - at)));
        }

        if (world.IsDeadAgent(machine))
        {
            return;
        }

        int[]? values = isRead ? Content.ValuesOf(disk) : null;
        if (spec.RecoveryPoint == RecoveryPoint.LastCheckpoint && spec.Term > Term)
        {
            registers.Reset(checkpoints.Promoted(machine, values), spec.Term);
            machine.HasLostWrites = false;
        }
        else
        {
            Resumes(machine);
            long asked = registers.Tick();
            for (int sector = 0; sector < values?.Length; sector++)
            {
                if (registers.Check(sector, values[sector], asked, settles: true) is { } wrong)
                {
                    world.Violated(new("3 failover gives every acknowledged write", $"{machine.Node} is promoted under term {spec.Term}: {wrong}"));
                    return;
                }
            }
        }

        if (spec.Term > Term)
        {
            (Term, PromotedAt) = (spec.Term, world.Engine.Elapsed);
        }

        world.Trace.Say($"{machine.Node} is promoted under term {spec.Term} ({spec.RecoveryPoint})");
    }

    /// <summary>A disk that fails now and then is read again; false: it cannot be read at all, and shows nothing wrong either.</summary>
    private static async Task<bool> ReadAsync(IBlockDevice served, long at, Memory<byte> piece)
    {
        for (int i = 0; i < Tries; i++)
        {
            if (await served.ReadAsync(at, piece) == BlockStatus.Ok)
            {
                return true;
            }
        }

        return false;
    }
}
