using Colo.Blocks;
using Colo.Replication;
using Colo.Simulation.Agents;

namespace Colo.Simulation.Mutants;

/// <summary>What bugs in the lineage do, on the way to its store.</summary>
internal static class Lineages
{
    /// <summary>Some marks never reach the file.</summary>
    public sealed class MarksLost(ILineageStore inner, AgentParts parts) : WrappedLineage(inner)
    {
        public override void WriteMap(long offsetBytes, ReadOnlySpan<byte> source)
        {
            if (!source.ContainsAnyExcept((byte)0) || !parts.World.MutantDice.Chance(0.1))
            {
                base.WriteMap(offsetBytes, source);
            }
        }
    }

    /// <summary>The write is let go first, its mark is made later.</summary>
    public sealed class MarksLate(ILineageStore inner, AgentParts parts) : WrappedLineage(inner)
    {
        public override void WriteMap(long offsetBytes, ReadOnlySpan<byte> source)
        {
            if (!source.ContainsAnyExcept((byte)0))
            {
                base.WriteMap(offsetBytes, source);
                return;
            }

            byte[] words = source.ToArray();
            parts.Process.Engine.After(TimeSpan.FromMilliseconds(3), () => parts.Process.Do(() => Late(offsetBytes, words)));
        }

        private void Late(long offsetBytes, byte[] words)
        {
            try
            {
                base.WriteMap(offsetBytes, words);
            }
            catch (IOException)
            {
                // Nobody is there any more to be told.
            }
        }
    }

    /// <summary>An extent turns hot in memory alone.</summary>
    public sealed class NotLogged(ILineageStore inner) : WrappedLineage(inner)
    {
        public override ValueTask WriteActivityAsync(IReadOnlyList<int> extents) =>
            extents.Count == 0 ? base.WriteActivityAsync(extents) : ValueTask.CompletedTask;
    }

    /// <summary>Its checksum is not looked at.</summary>
    public sealed class TornMapTrusted(ILineageStore inner, AgentParts parts) : WrappedLineage(inner)
    {
        public override ValueTask ReadMapAsync(Memory<byte> destination)
        {
            parts.Machine.Lineage!.ReadUnchecked(destination.Span);
            return ValueTask.CompletedTask;
        }
    }

    /// <summary>A new term looks like one that has begun long ago: no generation, and no map, begins with it.</summary>
    public sealed class TermUnchecked(ILineageStore inner) : WrappedLineage(inner)
    {
        private const long Above = long.MaxValue / 2;

        public override async ValueTask<LineageRecord> ReadAsync() => (await base.ReadAsync()) is var record && record.Current.IsNone ? record : record with { Term = Above };
    }

    /// <summary>Where a resync begins, every bit is cleared when its grain is sent, and not when it has arrived.</summary>
    public sealed class ClearsEarly(IReplicationLink inner, AgentParts parts, Func<ILineageStore?> store) : WrappedLink(inner)
    {
        public override ValueTask<BlockStatus> WriteAsync(long offsetBytes, ReadOnlyMemory<byte> source, RequestFlags flags = RequestFlags.None)
        {
            if (parts.Machine.Lineage is { Record.Base.IsNone: false } files && files.IsMarked(offsetBytes))
            {
                Clear(files, offsetBytes);
            }

            return base.WriteAsync(offsetBytes, source, flags);
        }

        private void Clear(World.LineageFiles files, long offsetBytes)
        {
            long grain = offsetBytes / World.LineageFiles.GrainBytes;
            byte[] bits = new byte[(files.GrainCount + 63) / 64 * 8];
            files.Read(bits);
            bits[grain / 8] &= (byte)~(1 << (int)(grain % 8));
            try
            {
                int unit = (int)(grain / 8 / ILineageStore.MapUnitBytes * ILineageStore.MapUnitBytes);
                store()?.WriteMap(unit, bits.AsSpan(unit, Math.Min(ILineageStore.MapUnitBytes, bits.Length - unit)));
            }
            catch (IOException)
            {
                // As full as the disk is: then the bit stays.
            }
        }
    }
}

/// <summary>What bugs in the exchange of lineages do: what the other side says is taken for something else.</summary>
internal sealed class MisreadLineage(IReplicationLink inner, Func<LineageReport, LineageReport> misread) : WrappedLink(inner)
{
    public override async ValueTask<LineageReport?> ReadLineageAsync(CancellationToken token) =>
        await base.ReadLineageAsync(token) is { } report ? misread(report) : null;
}
