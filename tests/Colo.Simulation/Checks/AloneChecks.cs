using Colo.AgentApi;
using Colo.Blocks;
using Colo.Replication;
using Colo.Simulation.Agents;
using Colo.Simulation.Mutants;
using Colo.Simulation.World;

namespace Colo.Simulation.Checks;

/// <summary>
/// What must be durable when a guest's write is acknowledged, looked at in what a crash of the process, and one of the machine, would leave:
/// alone, its bit, and that the record and the generation say so; with a secondary, its extent in the activity log. Invariant 5.
/// </summary>
internal sealed class AloneChecks(SimWorld world)
{
    private const string Promise = "5 a write alone has its bit durable first";

    public void Acknowledged(AgentParts parts, PrimaryReplica replica, BlockRange range)
    {
        if (parts.Process.IsDead)
        {
            return;
        }

        Machine machine = parts.Machine;
        bool isAlone = replica.ServeState == ServeState.Alone;
        if (isAlone && world.Arbiter.Record is { SecondaryState: AgentApi.SecondaryState.InSync } record && record.Term == replica.Term.Value)
        {
            Violated(machine, range, $"the record says {record}");
        }

        if (machine.Lineage is not { } files || (isAlone && files.Record.Base.IsNone))
        {
            return;
        }

        for (long at = range.Offset / LineageFiles.GrainBytes * LineageFiles.GrainBytes; at < range.End; at += LineageFiles.GrainBytes)
        {
            if (isAlone && !files.IsMarked(at))
            {
                Violated(machine, range, $"the grain at {at} has no bit: a death of the process loses it");
            }
            else if (!files.IsHot(at) && !(isAlone && files.IsMarkedDurably(at)))
            {
                Violated(machine, range, $"the grain at {at} is not in the activity log{(isAlone ? ", and its bit is not synced" : "")}: a crash loses it");
            }
        }

        if (isAlone && world.Machines.FirstOrDefault(m => m != machine && m.Lineage?.Record.Current == files.Record.Current) is { } other)
        {
            Violated(machine, range, $"its generation {files.Record.Current} is that of {other.Node}, which has not got it");
        }

        world.Coverage.Count(isAlone ? "check:5 acknowledged alone" : "check:5 acknowledged by both");
    }

    private void Violated(Machine machine, BlockRange range, string what) =>
        world.Violated(new(Promise, $"{machine.Node} acknowledges a write at {range.Offset}+{range.Length}, and {what}"));

    /// <summary>The replica, with a look at what is durable behind each acknowledgement of it.</summary>
    public sealed class Watched(PrimaryReplica replica, AgentParts parts) : WrappedDevice(replica)
    {
        public override ValueTask<BlockStatus> WriteAsync(long offsetBytes, ReadOnlyMemory<byte> source, RequestFlags flags = RequestFlags.None) =>
            LookAsync(new(offsetBytes, source.Length), base.WriteAsync(offsetBytes, source, flags));

        public override ValueTask<BlockStatus> WriteZeroesAsync(BlockRange range, RequestFlags flags = RequestFlags.None) =>
            LookAsync(range, base.WriteZeroesAsync(range, flags));

        private async ValueTask<BlockStatus> LookAsync(BlockRange range, ValueTask<BlockStatus> written)
        {
            BlockStatus status = await written;
            if (status == BlockStatus.Ok)
            {
                parts.World.Alone.Acknowledged(parts, replica, range);
            }

            return status;
        }
    }
}
