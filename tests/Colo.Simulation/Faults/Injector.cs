using Colo.Control;
using Colo.Simulation.Agents;
using Colo.Simulation.Control;
using Colo.Simulation.Engine;
using Colo.Simulation.World;

namespace Colo.Simulation.Faults;

/// <summary>Makes the faults of a schedule happen, ends each in its time, and in the end all of them.</summary>
internal sealed class Injector(SimWorld world, IReadOnlyList<Fault> schedule)
{
    private readonly Dice dice = world.NewDice("injector");
    private readonly List<Fault> waiting = [.. schedule.Where(f => f.After is not null)];
    private bool isOver;

    public void Begin()
    {
        foreach (Fault fault in schedule.Where(f => f.After is null))
        {
            world.Engine.After(fault.At, () => Inject(fault));
        }

        world.Coverage.Counted = Happened;
    }

    /// <summary>From now on nothing goes wrong, and everything that did is mended.</summary>
    public void End()
    {
        isOver = true;
        world.Coverage.Counted = null;
        foreach (Machine machine in world.Machines)
        {
            Mend(machine);
        }

        foreach (string one in Nodes())
        {
            foreach (string other in Nodes().Where(n => n != one))
            {
                world.Network.Heal(one, other);
            }
        }

        world.Network.ExtraDelay = TimeSpan.Zero;
        (world.Arbiter.IsDown, world.Arbiter.LosesAnswers, world.Arbiter.Slowness) = (false, 0, TimeSpan.Zero);
        if (world.Operator!.Process.IsDead)
        {
            world.Operator = SimOperator.Start(world);
        }
    }

    private IEnumerable<string> Nodes() => [.. world.Machines.Select(m => m.Node), SimArbiter.Node, SimOperator.Node];

    private void Mend(Machine machine)
    {
        machine.Disk.Clear();
        Unhang(machine);
        machine.Buffers.IsFull = false;
        if (machine.Process is { IsPaused: true } process)
        {
            process.Continue();
        }

        if (!machine.IsUp)
        {
            PowerOn(machine);
        }
        else
        {
            if (machine.Agent!.IsStopping)
            {
                Kill(machine);
            }

            StartAgent(machine);
        }
    }

    private void Happened(string what, long count)
    {
        foreach (Fault fault in waiting.Where(f => f.After == what && f.Nth == count).ToArray())
        {
            waiting.Remove(fault);
            world.Engine.After(fault.At, () => Inject(fault));
        }
    }

    private void Inject(Fault fault)
    {
        if (isOver)
        {
            return;
        }

        Machine machine = world.Machine(fault.Node);
        Machine other = world.Machines.First(m => m != machine);
        world.Trace.Say($"FAULT {fault}");
        if (Begin(fault, machine, other) is { } end)
        {
            world.Coverage.Count($"fault:{fault.Kind}");
            world.Engine.After(fault.Lasts, () =>
            {
                if (!isOver)
                {
                    world.Trace.Say($"fault #{fault.Number} {fault.Kind} ends");
                    end();
                }
            });
        }
    }

    /// <returns>How it is ended; null: it could not begin.</returns>
    private Action? Begin(Fault fault, Machine machine, Machine other)
    {
        DiskFaults disk = machine.Disk;
        switch (fault.Kind)
        {
            case FaultKind.AgentKilled when machine.IsRunning:
                Kill(machine);
                return () => StartAgent(machine);
            case FaultKind.AgentsKilled when machine.IsRunning && other.IsRunning:
                Kill(machine);
                Kill(other);
                return () =>
                {
                    StartAgent(machine);
                    world.Engine.After(fault.Chance * TimeSpan.FromSeconds(4), () => StartAgent(other));
                };
            case FaultKind.AgentRestarted when machine.IsRunning && !machine.Process!.IsPaused:
                SimAgent ending = machine.Agent!;
                world.Own(ending.Process, ending.EndInOrderAsync());
                return () =>
                {
                    if (machine.Agent == ending && machine.IsRunning)
                    {
                        Kill(machine);
                        StartAgent(machine);
                    }
                };
            case FaultKind.PowerLost when machine.IsUp:
                PowerOff(machine);
                return () => PowerOn(machine);
            case FaultKind.PowerLostOnBoth when machine.IsUp && other.IsUp:
                PowerOff(machine);
                PowerOff(other);
                TimeSpan later = dice.Between(TimeSpan.Zero, TimeSpan.FromSeconds(10));
                return () =>
                {
                    PowerOn(machine);
                    world.Engine.After(later, () => PowerOn(other));
                };
            case FaultKind.Paused when machine.IsRunning:
                SimProcess paused = machine.Process!;
                paused.Pause();
                return paused.Continue;
            case FaultKind.PeersCut:
                return Cut((machine.Node, other.Node), (other.Node, machine.Node));
            case FaultKind.PeersCutOneWay:
                return Cut((machine.Node, other.Node));
            case FaultKind.NodeCutOff:
                return Cut([.. Nodes().Where(n => n != machine.Node).SelectMany(n => new[] { (machine.Node, n), (n, machine.Node) })]);
            case FaultKind.ArbiterCutOff:
                return dice.Chance(0.5)
                    ? Cut((machine.Node, SimArbiter.Node), (SimArbiter.Node, machine.Node))
                    : Cut((SimArbiter.Node, machine.Node));
            case FaultKind.ControlCutOff:
                return Cut((machine.Node, SimOperator.Node), (SimOperator.Node, machine.Node));
            case FaultKind.ConnectionsBroken:
                world.Network.Break(machine.Node, other.Node);
                return Nothing;
            case FaultKind.NetworkSlow:
                world.Network.ExtraDelay = fault.Chance * TimeSpan.FromMilliseconds(400);
                return () => world.Network.ExtraDelay = TimeSpan.Zero;
            case FaultKind.ArbiterDown:
                world.Arbiter.IsDown = true;
                return () => world.Arbiter.IsDown = false;
            case FaultKind.ArbiterLosesAnswers:
                world.Arbiter.LosesAnswers = fault.Chance;
                return () => world.Arbiter.LosesAnswers = 0;
            case FaultKind.ArbiterSlow:
                world.Arbiter.Slowness = fault.Chance * TimeSpan.FromSeconds(3);
                return () => world.Arbiter.Slowness = TimeSpan.Zero;
            case FaultKind.ReadsFail:
                disk.ReadFails = fault.Chance;
                return () => disk.ReadFails = 0;
            case FaultKind.WritesFail:
                disk.WriteFails = fault.Chance;
                return () => disk.WriteFails = 0;
            case FaultKind.FlushesFail:
                disk.FlushFails = fault.Chance;
                return () => disk.FlushFails = 0;
            case FaultKind.DiskFull:
                disk.IsFull = fault.Chance;
                return () => disk.IsFull = 0;
            case FaultKind.BuffersFull:
                machine.Buffers.IsFull = true;
                return () => machine.Buffers.IsFull = false;
            case FaultKind.DiskSlow:
                disk.Slowness = fault.Chance * TimeSpan.FromMilliseconds(700);
                return () => disk.Slowness = TimeSpan.Zero;
            case FaultKind.DiskHangs:
                disk.Hangs = true;
                return () => Unhang(machine);
            case FaultKind.ClockJumps when machine.IsRunning:
                machine.Process!.Time.Skew += TimeSpan.FromHours((fault.Chance * 40) - 20);
                return Nothing;
            case FaultKind.OperatorKilled when !world.Operator!.Process.IsDead:
                world.Operator.Process.Kill();
                return () => world.Operator = SimOperator.Start(world);
            case FaultKind.SwitchoverAsked:
                return Ask(i => i with { SwitchOverTo = machine.Node });
            case FaultKind.FailoverAsked when world.Arbiter.Record is { } record:
                return Ask(i => i with { Failover = new FailoverRequest(record.Term) });
            case FaultKind.CheckpointAsked:
                return Ask(i => i with { Checkpoint = true });
            case FaultKind.ResyncAsked:
                return Ask(i => i with { Resync = machine.Node });
            default:
                return null;
        }
    }

    private static void Nothing()
    {
    }

    private Action Ask(Func<VolumeIntent, VolumeIntent> change)
    {
        world.Intent = change(world.Intent);
        return Nothing;
    }

    private Action Cut(params (string From, string To)[] ways)
    {
        foreach ((string from, string to) in ways)
        {
            world.Network.Cut(from, to);
        }

        return () =>
        {
            foreach ((string from, string to) in ways)
            {
                world.Network.Heal(from, to);
            }
        };
    }

    private void Kill(Machine machine)
    {
        SimProcess killed = machine.Process!;
        if (!killed.IsDead)
        {
            killed.Kill();
            world.Network.Reset(killed);
        }
    }

    private void StartAgent(Machine machine)
    {
        if (machine.IsUp && machine.Process!.IsDead)
        {
            SimAgent.Start(world, machine);
        }
    }

    private void PowerOff(Machine machine)
    {
        // Its guests are gone with it.
        world.Network.Break(machine.Node, machine.Node);
        machine.Process!.Kill();
        world.Network.Vanish(machine.Node);
        world.Network.MachineDown(machine.Node);
        machine.Disk.Hung.Clear();
        machine.PowerOff(dice);
    }

    private void PowerOn(Machine machine)
    {
        if (!machine.IsUp)
        {
            machine.PowerOn();
            world.Network.MachineUp(machine.Node);
            SimAgent.Start(world, machine);
        }
    }

    private static void Unhang(Machine machine)
    {
        machine.Disk.Hangs = false;
        Action[] late = [.. machine.Disk.Hung];
        machine.Disk.Hung.Clear();
        foreach (Action answer in late)
        {
            answer();
        }
    }
}
