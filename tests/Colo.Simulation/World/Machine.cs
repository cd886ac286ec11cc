using Colo.Agent.Volumes;
using Colo.Replication;
using Colo.Simulation.Agents;
using Colo.Simulation.Engine;

namespace Colo.Simulation.World;

/// <summary>One node: its disk, its memory, and the agent process that runs there now.</summary>
internal sealed class Machine(string node)
{
    public string Node => node;

    public Medium? Medium { get; set; }

    /// <summary>Which file the disk is: another one, where it was copied into its place.</summary>
    public string DiskIdentity { get; set; } = "disk 1";

    public DiskFaults Disk { get; } = new();

    public BufferMemory Buffers { get; } = new();

    public LineageFiles? Lineage { get; set; }

    /// <summary>The agent's state file: written as one, durable when the write returns.</summary>
    public StoredReplica? State { get; set; }

    /// <summary>Its checksum is wrong.</summary>
    public bool IsStateRotten { get; set; }

    public long Boot { get; private set; } = 1;

    public bool IsUp { get; private set; } = true;

    /// <summary>Power was lost with unflushed writes, and the copy was not filled since.</summary>
    public bool HasLostWrites { get; set; }

    /// <summary>How often this replica has become one of a pair.</summary>
    public long Attaches { get; set; }

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

    /// <summary>Of the powered-off machine; null: it holds no replica.</summary>
    public Backup? BackUp() => State is { } state && Medium is { } medium ? new(medium.Copy(), Lineage?.Copy(), state, Buffers.Record, DiskIdentity) : null;

    public void PutBack(Backup old)
    {
        (Medium, Lineage, State, DiskIdentity) = (old.Medium.Copy(), old.Lineage?.Copy(), old.State, old.DiskIdentity);
        Buffers.Record = old.Epoch;
        HasLostWrites = false;
    }
}

/// <summary>All that a machine has of its replica, at one moment.</summary>
internal sealed record Backup(Medium Medium, LineageFiles? Lineage, StoredReplica State, EpochRecord Epoch, string DiskIdentity);
