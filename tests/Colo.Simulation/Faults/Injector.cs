using Colo.Control;
using Colo.Simulation.Agents;
using Colo.Simulation.Control;
using Colo.Simulation.Engine;
using Colo.Simulation.World;

namespace Colo.Simulation.Faults;

/// <summary>Makes the faults of a schedule happen, ends each in its time, and in the end all of them.</summary>
internal sealed class Injector(SimWorld world, IReadOnlyList<Fault> schedule)
{
    /// <summary>Nobody exchanges a disk in less: whatever was on its way to the record has arrived by then.</summary>
    private static readonly TimeSpan Handwork = TimeSpan.FromSeconds(12);

    private readonly Dice dice = world.NewDice("injector");
    private readonly List<Fault> waiting = [.. schedule.Where(f => f.After is not null)];
    private readonly List<(string Phase, Fault Fault)> lurking = [];
    private readonly Power power = new(world);
    private readonly Evidence evidence = new(world);
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
        world.RepeatsCalls = 0;
        world.Excluded.Clear();
        if (world.Operator!.Process.IsDead)
        {
            world.Operator = SimOperator.Start(world);
        }
    }

    private IEnumerable<string> Nodes() => [.. world.Machines.Select(m => m.Node), SimArbiter.Node, SimOperator.Node];

    private void Mend(Machine machine)
    {
        OpenAnew(machine);
        machine.Disk.Clear();
        machine.Medium?.Recover();
        Unhang(machine);
        machine.Buffers.IsFull = false;
        if (machine.Process is { IsPaused: true } process)
        {
            process.Continue();
        }

        if (!machine.IsUp)
        {
            power.On(machine);
        }
        else
        {
            if (machine.Agent!.IsStopping)
            {
                power.Kill(machine);
            }

            power.StartAgent(machine);
        }
    }

    /// <summary>Whoever is told of flushes that fail for ever has the agent restarted.</summary>
    private void OpenAnew(Machine machine)
    {
        if (machine is { IsRunning: true, Disk.HasFailedFlush: true })
        {
            power.Kill(machine);
            power.StartAgent(machine);
        }

        machine.Disk.HasFailedFlush = false;
    }

    private void Happened(string what, long count)
    {
        foreach ((string Phase, Fault Fault) one in lurking.Count == 0 ? [] : lurking.ToArray())
        {
            if (FailoverPhases.Of(world).Contains(one.Phase))
            {
                lurking.Remove(one);
                world.Engine.After(dice.Chance(0.5) ? TimeSpan.Zero : dice.Between(TimeSpan.Zero, TimeSpan.FromMilliseconds(2)), () => TakePrimary(one.Phase, one.Fault));
            }
        }

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
        Machine other = world.PeerOf(machine);
        world.Trace.Say($"FAULT {fault}");
        IReadOnlyList<string> during = FailoverPhases.WantedBy(world, fault, machine, other);
        if (Begin(fault, machine, other) is { } end)
        {
            world.Coverage.Count($"fault:{fault.Kind}");
            CountWhatItMeets(during);
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

    private void CountWhatItMeets(IReadOnlyList<string> phases)
    {
        foreach (string phase in phases)
        {
            world.Coverage.Count($"case:failover during {phase}");
        }
    }

    /// <summary>When it is so, or has not become so for long; not at all, when there are no faults any more.</summary>
    private void When(Func<bool> isSo, TimeSpan patience, Action<bool> what)
    {
        TimeSpan pause = TimeSpan.FromMilliseconds(100);
        if (!isOver && (isSo() || patience <= TimeSpan.Zero))
        {
            what(isSo());
        }
        else if (!isOver)
        {
            world.Engine.After(pause, () => When(isSo, patience - pause, what));
        }
    }

    /// <returns>How it is ended; null: it could not begin.</returns>
    private Action? Begin(Fault fault, Machine machine, Machine other)
    {
        DiskFaults disk = machine.Disk;
        switch (fault.Kind)
        {
            case FaultKind.AgentKilled when machine.IsRunning:
                power.Kill(machine);
                return () => power.StartAgent(machine);
            case FaultKind.AgentsKilled when machine.IsRunning && other.IsRunning:
                power.Kill(machine);
                power.Kill(other);
                return () =>
                {
                    power.StartAgent(machine);
                    world.Engine.After(fault.Chance * TimeSpan.FromSeconds(4), () => power.StartAgent(other));
                };
            case FaultKind.AgentRestarted when machine.IsRunning && !machine.Process!.IsPaused:
                SimAgent ending = machine.Agent!;
                world.Own(ending.Process, ending.EndInOrderAsync());
                return () =>
                {
                    if (machine.Agent == ending && machine.IsRunning)
                    {
                        power.Kill(machine);
                        power.StartAgent(machine);
                    }
                };
            case FaultKind.PowerLost when machine.IsUp:
                power.Off(machine);
                return () => power.On(machine);
            case FaultKind.PowerLostOnBoth when machine.IsUp && other.IsUp:
                power.Off(machine);
                power.Off(other);
                TimeSpan later = dice.Between(TimeSpan.Zero, TimeSpan.FromSeconds(10));
                return () =>
                {
                    power.On(machine);
                    world.Engine.After(later, () => power.On(other));
                };
            case FaultKind.BothDownStaleFirst when machine.IsUp && other.IsUp && world.Arbiter.Record is { } pair:
                return StaleFirst(fault, world.Machine(pair.Primary), world.Machine(pair.Secondary));
            case FaultKind.Paused when machine.IsRunning:
                SimProcess paused = machine.Process!;
                paused.Pause();
                return paused.Continue;
            case FaultKind.FailoverDuringCheckpoint:
                return Lurk("checkpoint", fault, i => i with { Checkpoint = true });
            case FaultKind.FailoverDuringResync:
                world.Network.Break(machine.Node, other.Node);
                return Lurk("resync", fault, i => i);
            case FaultKind.FailoverDuringCommit when !world.Profile.IsLatestWrite && world.Arbiter.Record is { } committed:
                return Lurk("commit", fault, i => i with { Failover = new FailoverRequest(committed.Term) });
            case FaultKind.FailoverDuringFailover when world.Arbiter.Record is { } promoted:
                return Lurk("failover", fault, i => i with { Failover = new FailoverRequest(promoted.Term) });
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
                return () =>
                {
                    disk.FlushFails = 0;
                    OpenAnew(machine);
                };
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
            case FaultKind.SectorsUnreadable when machine.Medium is { } medium:
                int bad = dice.Below(medium.Sectors - 8);
                Enumerable.Range(bad, 1 + dice.Below(8)).ToList().ForEach(medium.Spoil);
                return Nothing;
            case FaultKind.DiskSetBack when machine.IsUp:
                return SetBack(fault, machine);
            case FaultKind.DiskRestored or FaultKind.DiskForeign when machine.IsUp && !evidence.IsOnlyCopy(machine) && machine.State is not null && machine.Medium is not null:
                return Replaced(fault, machine, fault.Kind == FaultKind.DiskRestored ? () => evidence.Restore(machine) : () => evidence.BecomeForeign(machine));
            case FaultKind.MapRots when world.Arbiter.Record is { SecondaryState: AgentApi.SecondaryState.InSync } pair
                && world.Machine(pair.Primary).IsRunning && world.Machine(pair.Secondary).IsRunning:
                return RotMapInUse(fault, world.Machine(pair.Primary), world.Machine(pair.Secondary));
            case FaultKind.StateRots or FaultKind.LineageRots or FaultKind.ActivityRots or FaultKind.BuffersRot when machine.IsRunning:
                if (!evidence.CanRot(fault.Kind, machine))
                {
                    return null;
                }

                power.Kill(machine);
                evidence.Rot(fault.Kind, machine, dice);
                return () => power.StartAgent(machine);
            case FaultKind.CallsRepeated:
                world.RepeatsCalls = 0.7;
                return () => world.RepeatsCalls = world.Profile.RepeatsCalls;
            case FaultKind.SecondaryReplaced when world.Profile.HasThirdNode && world.Excluded.Count == 0 && world.Arbiter.Record is { Secondary.Length: > 0 } placed:
                return MoveAway(fault, world.Machine(placed.Secondary));
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

    /// <summary>Waits for the moment, and helps it to come.</summary>
    private Action Lurk(string phase, Fault fault, Func<VolumeIntent, VolumeIntent> ask)
    {
        lurking.Add((phase, fault));
        Ask(ask);
        return () => lurking.Remove((phase, fault));
    }

    private void TakePrimary(string phase, Fault fault)
    {
        if (isOver || world.Machine(world.Arbiter.Record!.Primary) is not { IsRunning: true } primary || !FailoverPhases.Of(world).Contains(phase))
        {
            return;
        }

        world.Trace.Say($"fault #{fault.Number} {fault.Kind}: {primary.Node} goes");
        world.Coverage.Count($"case:failover during {phase}");
        switch (dice.Below(3))
        {
            case 0:
                power.Kill(primary);
                world.Engine.After(fault.Lasts, () => power.StartAgent(primary));
                break;
            case 1:
                power.Off(primary);
                world.Engine.After(fault.Lasts, () => power.On(primary));
                break;
            default:
                SimProcess paused = primary.Process!;
                paused.Pause();
                world.Engine.After(fault.Lasts, paused.Continue);
                break;
        }
    }

    private Action StaleFirst(Fault fault, Machine primary, Machine secondary)
    {
        power.Off(secondary);
        When(() => world.Arbiter.Record is { SecondaryState: not AgentApi.SecondaryState.InSync }, TimeSpan.FromSeconds(20), isStale =>
        {
            if (primary.IsUp)
            {
                power.Off(primary);
            }

            power.On(secondary);
            world.Coverage.Count(isStale ? "case:both down, the stale one back first" : "case:both down");
            world.Engine.After(fault.Lasts, () => power.On(primary));
        });
        return Nothing;
    }

    /// <summary>Only what a primary alone has marked depends on its map: so the other copy is away, until the map has rotted. Its agent alone: a
    /// machine that goes down makes every hot extent suspect, which hides what the map has lost.</summary>
    private Action RotMapInUse(Fault fault, Machine primary, Machine secondary)
    {
        power.Kill(secondary);
        When(() => primary.Lineage is { Record.Base.IsNone: false, HasMarks: true }, TimeSpan.FromSeconds(20), _ =>
        {
            world.Engine.After(fault.Chance * TimeSpan.FromSeconds(2), () =>
            {
                if (!isOver && primary.IsRunning && primary.Lineage is not null)
                {
                    power.Kill(primary);
                    evidence.Rot(FaultKind.MapRots, primary, dice);
                    power.StartAgent(primary);
                }

                power.StartAgent(secondary);
            });
        });
        return Nothing;
    }

    /// <summary>Off and on, and a backup in between; later off again, and the backup is put back before it is on.</summary>
    private Action SetBack(Fault fault, Machine machine)
    {
        power.Off(machine);
        Backup? old = machine.BackUp();
        long attachesThen = machine.Attaches;
        world.Engine.After(TimeSpan.FromSeconds(fault.Chance), () => power.On(machine));
        return () =>
        {
            // What it was attached as since is what tells the copy from the newest; nobody claims to know more of a moment in between.
            bool hasMoved = old is not null && machine.IsUp && !evidence.IsOnlyCopy(machine) && machine.Attaches > attachesThen;
            if (hasMoved)
            {
                Replaced(fault, machine, () => machine.PutBack(old!))();
            }
        };
    }

    /// <summary>Takes a while: until the record counts on this machine no more.</summary>
    private Action Replaced(Fault fault, Machine machine, Action replace)
    {
        power.Off(machine);
        world.Engine.After(Handwork, () => When(() => !evidence.IsCountedOn(machine), TimeSpan.FromSeconds(20), isSo =>
        {
            if (isSo && !machine.IsUp)
            {
                replace();
                world.Trace.Say($"{machine.Node} has another disk: {fault.Kind}");
                world.Coverage.Count($"case:{fault.Kind}");
            }

            power.On(machine);
        }));
        return Nothing;
    }

    private Action MoveAway(Fault fault, Machine secondary)
    {
        world.Excluded.Add(secondary.Node);
        if (secondary.IsUp)
        {
            power.Off(secondary);
        }

        When(() => world.Arbiter.Record!.Secondary != secondary.Node, fault.Lasts, isReplaced =>
        {
            world.Coverage.Count(isReplaced ? "case:a third node" : "case:no third node");
            power.On(secondary);
            world.Engine.After(fault.Lasts, () => world.Excluded.Remove(secondary.Node));
        });
        return Nothing;
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
