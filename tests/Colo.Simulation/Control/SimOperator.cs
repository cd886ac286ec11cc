using Colo.Api;
using Colo.Control;
using Colo.Driver;
using Colo.Simulation.Engine;
using Colo.Simulation.World;

namespace Colo.Simulation.Control;

/// <summary>The control plane of the volume: the real driver, reconciler and executor, round after round, as `coloctl local` runs them. It may be
/// killed at any time; what replaces it knows only the record and the agents.</summary>
internal sealed class SimOperator
{
    public const string Node = "control";

    private readonly SimWorld world;
    private readonly SimProcess process;
    private readonly VolumeDriver driver;

    private SimOperator(SimWorld world)
    {
        this.world = world;
        process = world.NewProcess("operator");
        driver = new VolumeDriver(
            SimWorld.Uid,
            new SimAgents(process, Node, world),
            world.Mutant.Wrap(new SimRecordStore(process, Node, world.Network, world.Arbiter)),
            new DriverOptions { Arbiter = ArbiterPlace.InDirectory("") },
            process.Time);
    }

    public SimProcess Process => process;

    public VolumeSituation? Situation { get; private set; }

    public string Message { get; private set; } = "";

    /// <summary>What people ask for; outlives the process.</summary>
    public static SimOperator Start(SimWorld world)
    {
        SimOperator started = new(world);
        world.Own(started.process, started.RunAsync());
        return started;
    }

    private async Task RunAsync()
    {
        ReplicatedVolume volume = world.Volume;
        while (!process.IsDead)
        {
            VolumeIntent intent = world.Intent;
            volume = volume with { Spec = world.Volume.Spec };
            RoundResult result = await driver.RoundAsync(new RoundRequest(volume, intent) { Candidates = world.Candidates }, CancellationToken.None);
            volume = volume with { Status = result.Status };
            if (result.Plan is { } plan)
            {
                if (Situation != plan.Situation)
                {
                    world.Trace.Say($"{process.Name}: {plan.Situation}: {plan.Message}");
                }

                (Situation, Message) = (plan.Situation, plan.Message);
                world.Coverage.Count($"situation:{plan.Situation}");
            }

            foreach (RoundEvent happened in result.Events.Where(e => e.Failed || e.Kind != Situation.ToString()))
            {
                world.Trace.Say($"{process.Name} {happened.Kind}: {happened.Message}");
                if (!happened.Failed)
                {
                    world.Coverage.Count($"action:{happened.Kind}");
                }
            }

            world.Settle(intent, result.Settled);
            await process.Time.DelayAsync(result.Worked ? TimeSpan.FromMilliseconds(1) : result.RequeueAfter);
        }
    }
}
