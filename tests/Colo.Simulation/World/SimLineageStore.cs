using Colo.Replication;
using Colo.Simulation.Engine;

namespace Colo.Simulation.World;

/// <summary>What a machine's disk holds of its replica's lineage: a record and an activity log that are written whole, and a map whose unsynced
/// sectors a power loss may take.</summary>
internal sealed class LineageFiles(long diskBytes)
{
    private const int SectorBytes = 512;

    private readonly byte[] durable = new byte[(int)(((diskBytes / 4096 / 8) + SectorBytes + 4095) / 4096 * 4096)];

    public byte[] Map { get; } = new byte[(int)(((diskBytes / 4096 / 8) + SectorBytes + 4095) / 4096 * 4096)];

    public LineageRecord Record { get; set; } = LineageRecord.Empty;

    public IReadOnlyList<int> Activity { get; set; } = [];

    public void Sync() => Map.CopyTo(durable, 0);

    public void LosePower(Dice dice)
    {
        for (int at = 0; at < Map.Length; at += SectorBytes)
        {
            if (dice.Chance(0.5))
            {
                durable.AsSpan(at, SectorBytes).CopyTo(Map.AsSpan(at));
            }
        }

        Sync();
    }
}

/// <summary>As the agent's LineageStore, on <see cref="LineageFiles"/>. Fails as the disk beside it does.</summary>
internal sealed class SimLineageStore(SimProcess process, LineageFiles files, DiskFaults faults, Dice dice) : ILineageStore
{
    public ValueTask<LineageRecord> ReadAsync() => new(files.Record);

    public ValueTask WriteAsync(LineageRecord record)
    {
        RequireOrder();
        files.Record = record;
        return ValueTask.CompletedTask;
    }

    public ValueTask<IReadOnlyList<int>> ReadActivityAsync() => new(files.Activity);

    public ValueTask WriteActivityAsync(IReadOnlyList<int> extents)
    {
        RequireOrder();
        files.Activity = [.. extents];
        return ValueTask.CompletedTask;
    }

    public ValueTask ReadMapAsync(Memory<byte> destination)
    {
        files.Map.AsMemory(0, destination.Length).CopyTo(destination);
        return ValueTask.CompletedTask;
    }

    public void WriteMap(long offsetBytes, ReadOnlySpan<byte> source)
    {
        RequireOrder();
        source.CopyTo(files.Map.AsSpan((int)offsetBytes));
    }

    public async ValueTask SyncMapAsync()
    {
        await process.Time.DelayAsync(TimeSpan.FromMicroseconds(100 + dice.Below(600)) + faults.Slowness);
        RequireOrder();
        files.Sync();
    }

    private void RequireOrder()
    {
        if (process.IsDead)
        {
            throw new ProcessKilledException();
        }

        if (dice.Chance(faults.FlushFails * 0.5) || dice.Chance(faults.IsFull * 0.1))
        {
            throw new IOException("the lineage cannot be written");
        }
    }
}
