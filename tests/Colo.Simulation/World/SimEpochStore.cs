using Colo.Blocks;
using Colo.Linux;
using Colo.Replication;
using Colo.Simulation.Engine;

namespace Colo.Simulation.World;

/// <summary>The grains of one buffer, in a machine's memory: they outlive the process, not the machine.</summary>
internal sealed class OverlayFile
{
    public SortedDictionary<long, byte[]> Grains { get; } = [];
}

/// <summary>What a machine keeps in memory for its epoch stores, and the record that says which pair counts.</summary>
internal sealed class BufferMemory
{
    public SortedDictionary<long, (OverlayFile Hidden, OverlayFile Active)> Pairs { get; } = [];

    public EpochRecord Record { get; set; } = EpochRecord.None;

    public long RecordBoot { get; set; }

    /// <summary>A tmpfs that is full.</summary>
    public bool IsFull { get; set; }

    /// <summary>The checksum of the record is wrong.</summary>
    public bool IsRotten { get; set; }

    public void LosePower() => Pairs.Clear();
}

/// <summary>As the agent's EpochStore, on <see cref="BufferMemory"/>.</summary>
internal sealed class SimEpochStore(SimProcess process, BufferMemory memory, long boot, long lengthBytes, Dice dice) : IEpochStore
{
    public EpochRecord Read() =>
        memory.IsRotten ? throw new StateFileException(StateFileError.Torn, "epoch", "its checksum is wrong")
        : memory.RecordBoot == boot || memory.Record.Phase == EpochPhase.Done ? memory.Record : EpochRecord.None;

    public ValueTask<EpochRecord> ReadAsync() => new(Read());

    public ValueTask<EpochOverlays?> OpenAsync(long epoch)
    {
        RemoveAllBut(epoch);
        return new(memory.Pairs.TryGetValue(epoch, out (OverlayFile Hidden, OverlayFile Active) pair)
            ? new EpochOverlays(epoch, Open(pair.Hidden), Open(pair.Active))
            : null);
    }

    public async ValueTask<EpochOverlays> PrepareAsync(long epoch)
    {
        await process.Time.DelayAsync(TimeSpan.FromMicroseconds(200 + dice.Below(2000)));
        if (memory.IsFull)
        {
            throw new IOException("no space left for fresh buffers");
        }

        (OverlayFile Hidden, OverlayFile Active) pair = (new(), new());
        memory.Pairs[epoch] = pair;
        return new(epoch, Open(pair.Hidden), Open(pair.Active));
    }

    public ValueTask CommitAsync(EpochRecord record)
    {
        if (process.IsDead)
        {
            return new(new TaskCompletionSource().Task);
        }

        (memory.Record, memory.RecordBoot) = (record, boot);
        return ValueTask.CompletedTask;
    }

    public async ValueTask DiscardAsync(EpochOverlays pair)
    {
        await process.Time.DelayAsync(TimeSpan.FromMicroseconds(dice.Below(1000)));
        if (!process.IsDead)
        {
            memory.Pairs.Remove(pair.Epoch);
        }
    }

    public void Clear()
    {
        (memory.Record, memory.IsRotten) = (EpochRecord.None, false);
        memory.Pairs.Clear();
    }

    private void RemoveAllBut(long epoch)
    {
        foreach (long other in memory.Pairs.Keys.Where(e => e != epoch).ToArray())
        {
            memory.Pairs.Remove(other);
        }
    }

    private SimOverlay Open(OverlayFile file) => new(process, file, memory, lengthBytes, dice);
}

/// <summary>One buffer, open in a process.</summary>
internal sealed class SimOverlay(SimProcess process, OverlayFile file, BufferMemory memory, long lengthBytes, Dice dice) : IOverlayDevice
{
    public const int Grain = 4096;

    public int GrainBytes => Grain;

    public long AllocatedBytes => (64 << 10) + ((long)file.Grains.Count * Grain);

    public long LengthBytes => lengthBytes;

    public DeviceCapabilities Capabilities { get; } = new(PreferredBlockBytes: Grain);

    public ValueTask<BlockStatus> ReadAsync(long offsetBytes, Memory<byte> destination) => DoAsync(() =>
    {
        for (int done = 0; done < destination.Length;)
        {
            long at = offsetBytes + done;
            int length = (int)Math.Min(destination.Length - done, Grain - (at % Grain));
            Span<byte> part = destination.Span.Slice(done, length);
            if (file.Grains.TryGetValue(at / Grain, out byte[]? grain))
            {
                grain.AsSpan((int)(at % Grain), length).CopyTo(part);
            }
            else
            {
                part.Clear();
            }

            done += length;
        }

        return BlockStatus.Ok;
    });

    public ValueTask<BlockStatus> WriteAsync(long offsetBytes, ReadOnlyMemory<byte> source, RequestFlags flags = RequestFlags.None)
    {
        byte[] content = source.ToArray();
        return DoAsync(() => Put(offsetBytes, content));
    }

    public ValueTask<BlockStatus> WriteZeroesAsync(BlockRange range, RequestFlags flags = RequestFlags.None) =>
        DoAsync(() => Put(range.Offset, new byte[range.Length]));

    public ValueTask<BlockStatus> DiscardAsync(BlockRange range, RequestFlags flags = RequestFlags.None) => new(BlockStatus.Ok);

    public ValueTask<BlockStatus> FlushAsync() => new(BlockStatus.Ok);

    public ValueTask<BlockStatus> MakeEmptyAsync()
    {
        file.Grains.Clear();
        return new(BlockStatus.Ok);
    }

    public ValueTask<BlockStatus> GetExtentsAsync(BlockRange range, IList<BlockExtent> extents, int maxExtents = int.MaxValue)
    {
        long at = range.Offset;
        for (int count = 0; at < range.End && count < maxExtents; count++)
        {
            bool held = file.Grains.ContainsKey(at / Grain);
            long end = at;
            while (end < range.End && file.Grains.ContainsKey(end / Grain) == held)
            {
                end = Math.Min(range.End, ((end / Grain) + 1) * Grain);
            }

            extents.Add(new(BlockRange.FromTo(at, end), held ? ExtentKind.Data : ExtentKind.Hole | ExtentKind.Zero));
            at = end;
        }

        return new(BlockStatus.Ok);
    }

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;

    private BlockStatus Put(long offset, ReadOnlySpan<byte> content)
    {
        if (memory.IsFull)
        {
            return BlockStatus.NoSpace;
        }

        while (!content.IsEmpty)
        {
            int within = (int)(offset % Grain);
            int length = Math.Min(content.Length, Grain - within);
            if (!file.Grains.TryGetValue(offset / Grain, out byte[]? grain))
            {
                file.Grains[offset / Grain] = grain = new byte[Grain];
            }

            content[..length].CopyTo(grain.AsSpan(within));
            content = content[length..];
            offset += length;
        }

        return BlockStatus.Ok;
    }

    private ValueTask<BlockStatus> DoAsync(Func<BlockStatus> what)
    {
        TaskCompletionSource<BlockStatus> answered = new();
        if (process.IsDead)
        {
            return new(answered.Task);
        }

        if (dice.Chance(0.6))
        {
            return new(what());
        }

        process.Engine.After(TimeSpan.FromMicroseconds(1 + dice.Below(60)), () => process.Do(() => answered.SetResult(what())));
        return new(answered.Task);
    }
}
