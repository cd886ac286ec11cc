using Colo.Blocks;
using Colo.Replication;
using Colo.Simulation.Agents;

namespace Colo.Simulation.Mutants;

/// <summary>What bugs on disks, targets and the guest's device do.</summary>
internal static class Devices
{
    public sealed class NoFlush(IBlockDevice inner) : WrappedDevice(inner)
    {
        public override ValueTask<BlockStatus> FlushAsync() => new(BlockStatus.Ok);
    }

    public sealed class ErrorsSwallowed(IBlockDevice inner) : WrappedDevice(inner)
    {
        public override async ValueTask<BlockStatus> WriteAsync(long offsetBytes, ReadOnlyMemory<byte> source, RequestFlags flags = RequestFlags.None)
        {
            await Inner.WriteAsync(offsetBytes, source, flags);
            return BlockStatus.Ok;
        }
    }

    /// <summary>Nobody asks whether the term still stands.</summary>
    public sealed class RefusalIgnored(IBlockDevice inner, AgentParts parts) : WrappedDevice(inner)
    {
        public override async ValueTask<BlockStatus> WriteAsync(long offsetBytes, ReadOnlyMemory<byte> source, RequestFlags flags = RequestFlags.None)
        {
            BlockStatus status = await Inner.WriteAsync(offsetBytes, source, flags);
            if (status != BlockStatus.Shutdown || parts.Process.IsDead)
            {
                return status;
            }

            parts.Machine.Medium!.Write(offsetBytes, source.Span);
            return BlockStatus.Ok;
        }
    }

    /// <summary>The answer first, the write later: behind what is written meanwhile.</summary>
    public sealed class AppliedLate(IBlockDevice inner, AgentParts parts) : WrappedDevice(inner)
    {
        public override ValueTask<BlockStatus> WriteAsync(long offsetBytes, ReadOnlyMemory<byte> source, RequestFlags flags = RequestFlags.None)
        {
            byte[] content = source.ToArray();
            parts.Process.Engine.After(TimeSpan.FromMilliseconds(4), () => parts.Process.Do(() => _ = Inner.WriteAsync(offsetBytes, content, flags)));
            return new(BlockStatus.Ok);
        }
    }
}

internal static class Overlays
{
    public sealed class Forgets(IOverlayDevice inner) : WrappedOverlay(inner)
    {
        public override ValueTask<BlockStatus> WriteAsync(long offsetBytes, ReadOnlyMemory<byte> source, RequestFlags flags = RequestFlags.None) =>
            new(BlockStatus.Ok);
    }

    public sealed class AllHeld(IOverlayDevice inner) : WrappedOverlay(inner)
    {
        public override ValueTask<BlockStatus> GetExtentsAsync(BlockRange range, IList<BlockExtent> extents, int maxExtents = int.MaxValue)
        {
            extents.Add(new(range, ExtentKind.Data));
            return new(BlockStatus.Ok);
        }
    }
}

/// <summary>What bugs on the way to the secondary do.</summary>
internal static class Links
{
    public sealed class AnsweredEarly(IReplicationLink inner, AgentParts parts) : WrappedLink(inner)
    {
        public override ValueTask<BlockStatus> WriteAsync(long offsetBytes, ReadOnlyMemory<byte> source, RequestFlags flags = RequestFlags.None)
        {
            byte[] content = source.ToArray();
            parts.Process.Engine.After(TimeSpan.FromMilliseconds(50), () => parts.Process.Do(() => _ = Inner.WriteAsync(offsetBytes, content, flags)));
            return new(BlockStatus.Ok);
        }
    }

    public sealed class NowAndThenLost(IReplicationLink inner, AgentParts parts) : WrappedLink(inner)
    {
        public override ValueTask<BlockStatus> WriteAsync(long offsetBytes, ReadOnlyMemory<byte> source, RequestFlags flags = RequestFlags.None) =>
            parts.World.MutantDice.Chance(0.005) ? new(BlockStatus.Ok) : Inner.WriteAsync(offsetBytes, source, flags);
    }

    public sealed class NoZeroes(IReplicationLink inner) : WrappedLink(inner)
    {
        public override ValueTask<BlockStatus> WriteZeroesAsync(BlockRange range, RequestFlags flags = RequestFlags.None) => new(BlockStatus.Ok);
    }

    public sealed class NoFlush(IReplicationLink inner) : WrappedLink(inner)
    {
        public override ValueTask<BlockStatus> FlushAsync() => new(BlockStatus.Ok);
    }

    public sealed class NoCheckpoint(IReplicationLink inner) : WrappedLink(inner)
    {
        public override ValueTask<BlockStatus> CheckpointAsync(long epoch) => epoch < 2 ? base.CheckpointAsync(epoch) : new(BlockStatus.Ok);
    }
}
