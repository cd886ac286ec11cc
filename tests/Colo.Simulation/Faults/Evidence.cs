using Colo.AgentApi;
using Colo.Replication;
using Colo.Simulation.Engine;
using Colo.Simulation.World;
using SecondaryState = Colo.AgentApi.SecondaryState;

namespace Colo.Simulation.Faults;

/// <summary>What becomes of a replica's files while nobody has them open.</summary>
internal sealed class Evidence(SimWorld world)
{
    private int files = 1;

    /// <summary>Nobody else has what it has: without it the volume is lost, whatever the product does.</summary>
    public bool IsOnlyCopy(Machine machine) =>
        world.Arbiter.Record is not { } record || (record.Primary == machine.Node && record.SecondaryState != SecondaryState.InSync);

    /// <summary>By the record it may serve, or may be promoted.</summary>
    public bool IsCountedOn(Machine machine) => world.Arbiter.Record is { } record
        && (record.Primary == machine.Node || (record.Secondary == machine.Node && record.SecondaryState == SecondaryState.InSync));

    /// <summary>The same content, in another file.</summary>
    public void Restore(Machine machine) => machine.DiskIdentity = $"disk {++files}";

    /// <summary>Another volume's disk, with that one's lineage.</summary>
    public void BecomeForeign(Machine machine)
    {
        GenerationId[] others = [world.NextContent(), world.NextContent()];
        machine.Medium = new Medium(world.Profile.DiskBytes);
        machine.Medium.Generations.UnionWith(others);
        if (machine.Lineage is { } own)
        {
            machine.Lineage = new LineageFiles(world.Profile.DiskBytes)
            {
                Record = new LineageRecord { Current = others[0], History = [others[1]], Term = own.Record.Term, Writes = own.Record.Writes + 100 },
            };
        }
    }

    public bool CanRot(FaultKind kind, Machine machine) => machine.State is not null && !IsOnlyCopy(machine) && kind switch
    {
        FaultKind.StateRots => true,
        FaultKind.BuffersRot => machine.Buffers.Record != EpochRecord.None,
        _ => machine.Lineage is not null,
    };

    public void Rot(FaultKind kind, Machine machine, Dice dice)
    {
        switch (kind)
        {
            case FaultKind.StateRots:
                machine.IsStateRotten = true;
                break;
            case FaultKind.BuffersRot:
                machine.Buffers.IsRotten = true;
                break;
            case FaultKind.LineageRots:
                machine.Lineage!.IsRecordRotten = true;
                break;
            case FaultKind.ActivityRots:
                machine.Lineage!.IsActivityRotten = true;
                break;
            default:
                world.Coverage.Count($"case:the map rots {(machine.Lineage!.Record.Base.IsNone ? "unused" : "in use")}");
                machine.Lineage.RotMap(dice);
                break;
        }
    }
}
