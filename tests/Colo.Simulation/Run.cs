using Colo.AgentApi;
using Colo.Control;
using Colo.Simulation.Checks;
using Colo.Simulation.Control;
using Colo.Simulation.Engine;
using Colo.Simulation.Faults;
using Colo.Simulation.Guests;
using Colo.Simulation.Mutants;
using Colo.Simulation.World;

namespace Colo.Simulation;

/// <summary>What came of one seed.</summary>
/// <param name="Failure">Null: every check held.</param>
/// <param name="Hash">Of the whole trace.</param>
internal sealed record RunResult(
    long Seed, string? Failure, string Hash, long Steps, TimeSpan Simulated, long Writes, Coverage Coverage, IReadOnlyList<Fault> Faults,
    IReadOnlyCollection<string> LastLines);

/// <summary>One seed from its beginning to its end: trouble for a while, then none, and then everything must be well within a bound.</summary>
internal sealed class Run
{
    private static readonly TimeSpan Trouble = TimeSpan.FromSeconds(60);

    /// <summary>Liveness: from the last fault to Protected, with every retry, backoff and silence at its longest.</summary>
    private static readonly TimeSpan Recovery = TimeSpan.FromSeconds(180);

    private readonly SimWorld world;
    private readonly Injector injector;

    private Run(SimWorld world, Injector injector) => (this.world, this.injector) = (world, injector);

    public static async Task<RunResult> OfAsync(long seed, Mutant mutant, IReadOnlyCollection<int> without, TextWriter? live)
    {
        IReadOnlyList<Fault> faults = [.. Schedule.Of(seed, Trouble).Where(f => !without.Contains(f.Number))];
        using SimWorld world = new(seed, mutant, live);
        Run run = new(world, new(world, faults));
        string? failure = null;
        try
        {
            world.Engine.Soon(run.Begin);
            await world.Engine.RunAsync();
            failure = world.Violation?.Message;
        }
        catch (Exception e) when (e is not OutOfMemoryException)
        {
            failure = $"{e.GetType().Name}: {e}";
        }

        RunResult result = new(
            seed, failure, world.Trace.Hash, world.Engine.Steps, world.Engine.Elapsed, world.Guests.Sum(g => g.Writes), world.Coverage, faults,
            [.. world.Trace.Last]);
        await run.SweepAsync();
        return result;
    }

    private void Begin()
    {
        world.Start();
        injector.Begin();
        SimProcess watcher = world.NewProcess("watcher");
        world.Own(watcher, WatchAsync(watcher));
        world.Own(watcher, LookAsync(watcher));
    }

    private async Task WatchAsync(SimProcess watcher)
    {
        await watcher.Time.DelayAsync(Trouble);
        world.Trace.Say("no more faults");
        injector.End();
        TimeSpan limit = world.Engine.Elapsed + Recovery;
        Person person = new(world);
        while (!IsWell())
        {
            await watcher.Time.DelayAsync(TimeSpan.FromMilliseconds(250));
            if (person.MustDecide())
            {
                // Refused for good, as promised.
                world.Coverage.Count("end:refused");
                world.End();
                return;
            }

            await person.HelpAsync(watcher);

            if (world.Engine.Elapsed > limit)
            {
                world.Violated(new("liveness", $"{Recovery.TotalSeconds} s after the last fault the volume is {world.Operator!.Situation}: {world.Arbiter.Record}"));
                return;
            }
        }

        await QuiesceAsync(watcher);
    }

    private bool IsWell() =>
        world.Operator!.Situation == VolumeSituation.Protected && world.Arbiter.Record is { SecondaryState: SecondaryState.InSync };

    /// <summary>The guests rest: both copies are equal, and every sector is what it must be.</summary>
    private async Task QuiesceAsync(SimProcess watcher)
    {
        TimeSpan limit = world.Engine.Elapsed + Recovery;
        foreach (Guest guest in world.Guests)
        {
            guest.IsPaused = true;
        }

        Guest serving = world.Guests.Single(g => g.Node == world.Arbiter.Record!.Primary);
        while (!IsWell() || !serving.IsIdle || !await serving.ReadAllAsync())
        {
            await watcher.Time.DelayAsync(TimeSpan.FromMilliseconds(250));
            serving = world.Guests.Single(g => g.Node == world.Arbiter.Record!.Primary);
            if (world.Engine.Elapsed > limit)
            {
                world.Violated(new("liveness", $"the guest on {serving.Node} cannot read its disk, or waits for an answer"));
                return;
            }
        }

        world.Coverage.Count("end:protected");
        if (IsWell() && !world.Coverage.Counts.ContainsKey("error:1 PrimaryDisk"))
        {
            int[] one = Content.ValuesOf(world.Machine(world.Arbiter.Record!.Primary).Medium!.Content);
            int[] other = Content.ValuesOf(world.Machine(world.Arbiter.Record.Secondary).Medium!.Content);
            int differing = Enumerable.Range(0, one.Length).FirstOrDefault(s => one[s] != other[s], -1);
            if (differing >= 0)
            {
                world.Violated(new("9 the replicas are equal", $"sector {differing} holds {one[differing]} and {other[differing]}"));
                return;
            }

            world.Coverage.Count("check:equal");
        }

        world.End();
    }

    /// <summary>The secondary VM reads now and then.</summary>
    private async Task LookAsync(SimProcess watcher)
    {
        Dice dice = world.NewDice("view");
        while (true)
        {
            await watcher.Time.DelayAsync(dice.Between(TimeSpan.FromMilliseconds(50), TimeSpan.FromMilliseconds(900)));
            Machine machine = dice.Pick(world.Machines);
            Bounds.Look(world, machine);
            int first = dice.Below(world.Registers.Count - 64);
            if (machine.IsRunning && !machine.Process!.IsPaused && machine.Agent!.Volume.Replica.Secondary is { } secondary)
            {
                world.Own(machine.Process, world.Checkpoints.LookAsync(machine, secondary.Replica, first, 64));
            }
        }
    }

    /// <summary>Ends the threads of the world that is over, so that the next one finds the pool empty.</summary>
    private async Task SweepAsync()
    {
        world.KillAll();
        await world.Engine.DrainAsync();
    }
}
