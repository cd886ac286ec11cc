using Colo.AgentApi;
using Colo.Agent.Volumes;
using Colo.Blocks;
using Colo.Replication;
using Colo.Simulation.Checks;
using Colo.Simulation.Engine;
using Colo.Simulation.Mutants;
using Colo.Simulation.World;
using Microsoft.Extensions.Logging.Abstractions;

namespace Colo.Simulation.Agents;

/// <summary>What one agent process is made of. The devices and stores that the product is handed are made here, and nowhere else: the one place
/// where a <see cref="Mutant"/> wraps them.</summary>
internal sealed record AgentParts(SimProcess Process, Machine Machine, SimWorld World)
{
    public static readonly TimeSpan Retry = TimeSpan.FromMilliseconds(500);
    public static readonly TimeSpan Drain = TimeSpan.FromSeconds(5);

    public string Node => Machine.Node;

    public SimNetwork Network => World.Network;

    public Profile Profile => World.Profile;

    public Trace Trace => World.Trace;

    public Coverage Coverage => World.Coverage;

    public Mutant Mutant => World.Mutant;

    public IVolumeRecordStore Records { get; } = RecordsOf(Process, Machine, World);

    public IArbiter Arbiter => Mutant.Wrap(new RecordArbiter(Records, SimWorld.Uid, NullLogger.Instance, () => Machine.State?.HighestTerm ?? 0), this);

    public IBlockDevice OpenDisk(Role role) => Mutant.Wrap(new SimDisk(Process, Machine.Medium!, Machine.Disk, World.DiskDice(Machine)), role, this);

    /// <summary>What a guest uses, and what a secondary's primary writes to, behind their servers.</summary>
    public IBlockDevice GuestDevice(PrimaryReplica replica) => new Bounds.Counted(Mutant.WrapGuest(new AloneChecks.Watched(replica, this), this), this, "primary");

    public IBlockDevice TargetDevice(ReplicationTarget target) => new Bounds.Counted(Mutant.Wrap(target, this), this, "secondary");

    public ILineageStore LineageStore(LineageFiles files) => Mutant.Wrap(new SimLineageStore(this, files), this);

    public GenerationId DrawGeneration()
    {
        GenerationId drawn = Mutant.Draw(World.NextContent(), this);
        AncestryChecks.Drawn(Machine, drawn);
        return drawn;
    }

    public SimEpochStore EpochFiles() => new(Process, Machine.Buffers, Machine.Boot, Profile.DiskBytes, World.DiskDice(Machine));

    public SimNews News(string role) => new(Process, role, Trace, Coverage);

    private static IVolumeRecordStore RecordsOf(SimProcess process, Machine machine, SimWorld world) =>
        new SimRecordStore(process, machine.Node, world.Network, world.Arbiter);
}
