using Colo.Agent.Volumes;
using Colo.Simulation.Agents;
using Colo.Simulation.Engine;

namespace Colo.Simulation.World;

/// <summary>One node: its disk, its memory, and the agent process that runs there now.</summary>
internal sealed class Machine(string node)
{
    public string Node => node;

    public Medium? Medium { get; set; }

    public DiskFaults Disk { get; } = new();

    public BufferMemory Buffers { get; } = new();

    public LineageFiles? Lineage { get; set; }

    /// <summary>The agent's state file: written as one, durable when the write returns.</summary>
    public StoredReplica? State { get; set; }

    public long Boot { get; private set; } = 1;

    public bool IsUp { get; private set; } = true;

    /// <summary>Power was lost with unflushed writes, and the copy was not filled since.</summary>
    public bool HasLostWrites { get; set; }

    public SimAgent? Agent { get; set; }

    public SimProcess? Process => Agent?.Process;

    public bool IsRunning => IsUp && Process is { IsDead: false };

    public void PowerOff(Dice dice)
    {
        IsUp = false;
        Boot++;
        if (Medium?.LosePower(dice) > 0)
        {
            HasLostWrites = true;
        }

        Lineage?.LosePower(dice);
        Buffers.LosePower();
    }

    public void PowerOn() => IsUp = true;
}
