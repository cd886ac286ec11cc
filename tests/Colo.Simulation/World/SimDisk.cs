using Colo.Blocks;
using Colo.Simulation.Engine;

namespace Colo.Simulation.World;

/// <summary>What is wrong with a disk now; faults switch it on and off.</summary>
internal sealed class DiskFaults
{
    public double ReadFails { get; set; }

    public double WriteFails { get; set; }

    public double FlushFails { get; set; }

    public double IsFull { get; set; }

    public TimeSpan Slowness { get; set; }

    public bool Hangs { get; set; }

    /// <summary>A flush has failed, and whoever has the disk open will hear so until it is opened anew.</summary>
    public bool HasFailedFlush { get; set; }

    /// <summary>What waits for a hung disk to go on.</summary>
    public List<Action> Hung { get; } = [];

    public void Clear()
    {
        (ReadFails, WriteFails, FlushFails, IsFull, Slowness, Hangs) = (0, 0, 0, 0, TimeSpan.Zero, false);
        HasFailedFlush = false;
    }
}

/// <summary>A process's open file on a <see cref="Medium"/>. A request answers at once, or after a while; one that is under way when the process is
/// killed may be carried out, in part or not at all.</summary>
internal sealed class SimDisk : IBlockDevice
{
    private readonly SimProcess process;
    private readonly Medium medium;
    private readonly DiskFaults faults;
    private readonly Dice dice;
    private readonly List<(long Offset, byte[] Content)> underWay = [];
    private bool hasFailedFlush;

    public SimDisk(SimProcess process, Medium medium, DiskFaults faults, Dice dice)
    {
        (this.process, this.medium, this.faults, this.dice) = (process, medium, faults, dice);
        process.WhenKilled(LeaveWhatIsUnderWay);
    }

    public long LengthBytes => medium.LengthBytes;

    public DeviceCapabilities Capabilities { get; } = new(PreferredBlockBytes: 4096);

    public ValueTask<BlockStatus> ReadAsync(long offsetBytes, Memory<byte> destination)
    {
        BlockStatus refused = this.CheckRead(offsetBytes, destination.Length);
        return refused != BlockStatus.Ok ? new(refused) : DoAsync(() =>
        {
            if (dice.Chance(faults.ReadFails) || !medium.IsReadable(offsetBytes, destination.Length))
            {
                return BlockStatus.IoError;
            }

            medium.Read(offsetBytes, destination.Span);
            return BlockStatus.Ok;
        });
    }

    public ValueTask<BlockStatus> WriteAsync(long offsetBytes, ReadOnlyMemory<byte> source, RequestFlags flags = RequestFlags.None)
    {
        BlockStatus refused = this.CheckWrite(offsetBytes, source.Length);
        return refused != BlockStatus.Ok ? new(refused) : PutAsync(offsetBytes, source.ToArray(), flags);
    }

    public ValueTask<BlockStatus> WriteZeroesAsync(BlockRange range, RequestFlags flags = RequestFlags.None)
    {
        BlockStatus refused = this.CheckWrite(range.Offset, range.Length);
        return refused != BlockStatus.Ok ? new(refused) : PutAsync(range.Offset, new byte[range.Length], flags);
    }

    public ValueTask<BlockStatus> DiscardAsync(BlockRange range, RequestFlags flags = RequestFlags.None) => WriteZeroesAsync(range, flags);

    public ValueTask<BlockStatus> FlushAsync()
    {
        int[] sectors = medium.DirtySectors();
        return DoAsync(() => Flush(sectors), least: TimeSpan.FromMicroseconds(100));
    }

    public ValueTask<BlockStatus> GetExtentsAsync(BlockRange range, IList<BlockExtent> extents, int maxExtents = int.MaxValue)
    {
        BlockStatus refused = this.CheckRead(range.Offset, range.Length);
        if (refused == BlockStatus.Ok)
        {
            ReadOnlySpan<byte> content = medium.Content.Slice((int)range.Offset, (int)range.Length);
            extents.Add(new(range, content.IsAllZero() ? ExtentKind.Hole | ExtentKind.Zero : ExtentKind.Data));
        }

        return new(refused);
    }

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;

    private ValueTask<BlockStatus> PutAsync(long offset, byte[] content, RequestFlags flags)
    {
        (long Offset, byte[] Content) write = (offset, content);
        underWay.Add(write);
        return DoAsync(() =>
        {
            underWay.Remove(write);
            if (dice.Chance(faults.IsFull))
            {
                return BlockStatus.NoSpace;
            }

            if (dice.Chance(faults.WriteFails))
            {
                Put(offset, content, dice.Below((content.Length / Medium.SectorBytes) + 1));
                return BlockStatus.IoError;
            }

            medium.Write(offset, content);
            return (flags & RequestFlags.ForceUnitAccess) == 0 ? BlockStatus.Ok : Flush(medium.DirtySectors());
        });
    }

    private BlockStatus Flush(int[] sectors)
    {
        // As RawFile: a failure is never forgotten, because the system tells it once and drops the pages.
        if (hasFailedFlush)
        {
            return BlockStatus.IoError;
        }

        if (dice.Chance(faults.FlushFails))
        {
            medium.GiveUp(sectors);
            hasFailedFlush = faults.HasFailedFlush = true;
            return BlockStatus.IoError;
        }

        medium.MakeDurable(sectors);
        return BlockStatus.Ok;
    }

    private ValueTask<BlockStatus> DoAsync(Func<BlockStatus> what, TimeSpan least = default)
    {
        TaskCompletionSource<BlockStatus> answered = new();
        if (process.IsDead)
        {
            return new(answered.Task);
        }

        if (least == default && !faults.Hangs && faults.Slowness == default && dice.Chance(0.3))
        {
            // The page cache had it.
            return new(what());
        }

        void Answer() => process.Do(() =>
        {
            if (faults.Hangs)
            {
                faults.Hung.Add(Answer);
                return;
            }

            answered.SetResult(what());
        });
        process.Engine.After(least + TimeSpan.FromMicroseconds(10 + dice.Below(300)) + faults.Slowness, Answer);
        return new(answered.Task);
    }

    private void LeaveWhatIsUnderWay()
    {
        foreach ((long offset, byte[] content) in underWay)
        {
            Put(offset, content, dice.Below((content.Length / Medium.SectorBytes) + 1));
        }

        underWay.Clear();
    }

    private void Put(long offset, byte[] content, int sectors)
    {
        if (sectors > 0)
        {
            medium.Write(offset, content.AsSpan(0, Math.Min(content.Length, sectors * Medium.SectorBytes)));
        }
    }
}
