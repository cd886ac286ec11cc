using Colo.Linux;
using Colo.Replication;
using Colo.Simulation.Agents;
using Colo.Simulation.Engine;

namespace Colo.Simulation.World;

/// <summary>As the agent's LineageStore, on <see cref="LineageFiles"/>. Fails as the disk beside it does. What it is given to write is looked
/// at by the checks.</summary>
internal sealed class SimLineageStore(AgentParts parts, LineageFiles files) : ILineageStore
{
    private readonly Dice dice = parts.World.DiskDice(parts.Machine);

    public ValueTask<LineageRecord> ReadAsync()
    {
        RequireWhole(files.IsRecordRotten, "lineage.state");
        return new(files.Record);
    }

    public ValueTask WriteAsync(LineageRecord record)
    {
        RequireOrder();
        parts.World.Clearing.Writes(parts.Machine, files, record);
        files.Record = record;
        return ValueTask.CompletedTask;
    }

    public ValueTask<IReadOnlyList<int>> ReadActivityAsync()
    {
        RequireWhole(files.IsActivityRotten, "lineage.map");
        return new(files.Activity);
    }

    public ValueTask WriteActivityAsync(IReadOnlyList<int> extents)
    {
        RequireOrder();
        files.Activity = [.. extents];
        return ValueTask.CompletedTask;
    }

    public ValueTask ReadMapAsync(Memory<byte> destination)
    {
        files.Read(destination.Span);
        return ValueTask.CompletedTask;
    }

    public void WriteMap(long offsetBytes, ReadOnlySpan<byte> source)
    {
        RequireOrder();
        parts.World.Clearing.Writes(parts.Machine, files, offsetBytes, source);
        files.Write(offsetBytes, source);
    }

    public async ValueTask SyncMapAsync()
    {
        (long Number, byte[] Map) begun = files.BeginSync();
        await parts.Process.Time.DelayAsync(TimeSpan.FromMicroseconds(100 + dice.Below(600)) + parts.Machine.Disk.Slowness);
        RequireOrder();
        files.EndSync(begun);
    }

    private static void RequireWhole(bool isRotten, string file)
    {
        if (isRotten)
        {
            throw new StateFileException(StateFileError.Torn, file, "its checksum is wrong");
        }
    }

    private void RequireOrder()
    {
        if (parts.Process.IsDead)
        {
            throw new ProcessKilledException();
        }

        if (dice.Chance(parts.Machine.Disk.FlushFails * 0.5) || dice.Chance(parts.Machine.Disk.IsFull * 0.1))
        {
            throw new IOException("the lineage cannot be written");
        }
    }
}
