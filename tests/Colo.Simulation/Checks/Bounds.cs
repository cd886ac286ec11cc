using Colo.Blocks;
using Colo.Replication;
using Colo.Simulation.Agents;
using Colo.Simulation.Mutants;
using Colo.Simulation.World;

namespace Colo.Simulation.Checks;

/// <summary>What has a bound stays within it, whatever is asked: requests with a device, buffers, the activity log, the history. Invariant 12.</summary>
internal static class Bounds
{
    private const string Promise = "12 memory is bounded";

    /// <summary>Asked at random moments.</summary>
    public static void Look(SimWorld world, Machine machine)
    {
        if (machine.Lineage is { } files
            && (files.Activity.Count > ActivityLog.Capacity || files.Record.History.Count > LineageRecord.MaxHistory))
        {
            world.Violated(new(Promise, $"{machine.Node}: {files.Activity.Count} hot extents, {files.Record.History.Count} former generations"));
        }

        if (machine.Agent?.Volume.Replica.Secondary?.Replica is { } secondary)
        {
            // Measured before each copy: passed by what is in flight at that moment, not by more.
            long most = world.Profile.BufferBytes + (world.Profile.ServerRequests * (long)Math.Max(world.Profile.ResyncChunkBytes, 64 << 10)) + (128 << 10);
            if (secondary.BufferedBytes > most)
            {
                world.Violated(new(Promise, $"{machine.Node} buffers {secondary.BufferedBytes} bytes of {world.Profile.BufferBytes}"));
            }

            world.Coverage.Count(secondary.BufferedBytes > world.Profile.BufferBytes * 3 / 4 ? "check:12 buffers nearly full" : "check:12 buffers");
        }
    }

    /// <summary>A device behind an NBD server: no more requests at a time than the server may bring it.</summary>
    public sealed class Counted(IBlockDevice inner, AgentParts parts, string what) : WrappedDevice(inner)
    {
        private int underWay;

        public override ValueTask<BlockStatus> ReadAsync(long offsetBytes, Memory<byte> destination) => CountAsync(Enter(), base.ReadAsync(offsetBytes, destination));

        public override ValueTask<BlockStatus> WriteAsync(long offsetBytes, ReadOnlyMemory<byte> source, RequestFlags flags = RequestFlags.None) =>
            CountAsync(Enter(), base.WriteAsync(offsetBytes, source, flags));

        public override ValueTask<BlockStatus> WriteZeroesAsync(BlockRange range, RequestFlags flags = RequestFlags.None) =>
            CountAsync(Enter(), base.WriteZeroesAsync(range, flags));

        public override ValueTask<BlockStatus> FlushAsync() => CountAsync(Enter(), base.FlushAsync());

        private bool Enter()
        {
            int most = parts.Profile.ServerRequests * NbdConnections;
            if (++underWay > most)
            {
                parts.World.Violated(new(Promise, $"{parts.Node}: {underWay} requests with the {what}, {most} are allowed"));
            }

            parts.Coverage.Count(underWay == parts.Profile.ServerRequests ? "check:12 as many requests as allowed" : "check:12 requests");
            return true;
        }

        /// <summary>A half-open one may still have its requests when its successor comes.</summary>
        private const int NbdConnections = 2;

        private async ValueTask<BlockStatus> CountAsync(bool entered, ValueTask<BlockStatus> asked)
        {
            BlockStatus status = await asked;
            underWay -= entered ? 1 : 0;
            return status;
        }
    }
}
