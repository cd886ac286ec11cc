using Colo.Replication;
using Colo.Simulation.World;

namespace Colo.Simulation.Faults;

/// <summary>What is under way when a fault takes the primary away, or a person asks for another one.</summary>
internal static class FailoverPhases
{
    public static IReadOnlyList<string> WantedBy(SimWorld world, Fault fault, Machine machine, Machine other)
    {
        if (world.Arbiter.Record is not { } record)
        {
            return [];
        }

        Machine primary = world.Machine(record.Primary);
        bool isWanted = fault.Kind switch
        {
            FaultKind.FailoverAsked or FaultKind.SwitchoverAsked or FaultKind.BothDownStaleFirst => true,
            FaultKind.AgentsKilled or FaultKind.PowerLostOnBoth => machine == primary || other == primary,
            FaultKind.AgentKilled or FaultKind.AgentRestarted or FaultKind.PowerLost or FaultKind.Paused or FaultKind.NodeCutOff
                or FaultKind.DiskSetBack or FaultKind.DiskRestored or FaultKind.StateRots or FaultKind.LineageRots => machine == primary,
            _ => false,
        };
        return !isWanted || !primary.IsRunning ? [] : [.. Of(world, primary, record.Term)];
    }

    /// <summary>Under way on the primary that the record names.</summary>
    public static IEnumerable<string> Of(SimWorld world) =>
        world.Arbiter.Record is { } record && world.Machine(record.Primary) is { IsRunning: true } primary ? Of(world, primary, record.Term) : [];

    private static IEnumerable<string> Of(SimWorld world, Machine primary, long term)
    {
        if (world.Checkpoints.IsUnderWay(primary))
        {
            yield return "checkpoint";
        }

        if (primary.Agent!.Volume.Replica.Primary is { } service)
        {
            if (service.Replica.ResyncProgress is { State: ResyncState.Copying })
            {
                yield return "resync";
            }

            if (service.IsCommitting)
            {
                yield return "commit";
            }
        }

        if (term > world.Lives.Term)
        {
            yield return "failover";
        }
    }
}
