using Colo.Simulation.Agents;
using Colo.Simulation.Engine;
using Colo.Simulation.World;

namespace Colo.Simulation.Faults;

/// <summary>How machines and their agents end and begin.</summary>
internal sealed class Power(SimWorld world)
{
    private readonly Dice dice = world.NewDice("power");

    public void Kill(Machine machine)
    {
        SimProcess killed = machine.Process!;
        if (!killed.IsDead)
        {
            killed.Kill();
            world.Network.Reset(killed);
        }
    }

    public void StartAgent(Machine machine)
    {
        if (machine.IsUp && machine.Process!.IsDead)
        {
            SimAgent.Start(world, machine);
        }
    }

    public void Off(Machine machine)
    {
        // Its guests are gone with it.
        world.Network.Break(machine.Node, machine.Node);
        machine.Process!.Kill();
        world.Network.Vanish(machine.Node);
        world.Network.MachineDown(machine.Node);
        machine.Disk.Hung.Clear();
        machine.PowerOff(dice);
    }

    public void On(Machine machine)
    {
        if (!machine.IsUp)
        {
            machine.PowerOn();
            world.Network.MachineUp(machine.Node);
            SimAgent.Start(world, machine);
        }
    }
}
