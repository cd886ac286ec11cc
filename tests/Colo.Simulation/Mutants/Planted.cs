using Colo.AgentApi;
using Colo.Blocks;
using Colo.Replication;
using Colo.Simulation.Agents;
using Role = Colo.AgentApi.Role;
using SecondaryState = Colo.Replication.SecondaryState;

namespace Colo.Simulation.Mutants;

/// <summary>The bugs, by the names under which the command line and the tests plant them.</summary>
internal static class Planted
{
    public static IReadOnlyDictionary<string, Func<Mutant>> All { get; } = new SortedDictionary<string, Func<Mutant>>(StringComparer.Ordinal)
    {
        ["flush-skipped"] = () => new OnDisk((disk, _) => new Devices.NoFlush(disk)),
        ["forward-error-swallowed"] = () => new OnDisk((disk, role) => role == Role.Secondary ? new Devices.ErrorsSwallowed(disk) : disk),
        ["acknowledged-before-the-arbiter"] = () => new OnArbiter((expected, next, ask) =>
        {
            ValueTask<ArbiterAnswer> asked = ask(next);
            if (next.SecondaryState != SecondaryState.Stale)
            {
                return asked;
            }

            // It is asked, and nobody waits for what it says.
            _ = asked.AsTask().ContinueWith(static late => _ = late.Exception, TaskScheduler.Default);
            return new(ArbiterAnswer.Updated(next with { Revision = next.Revision + 1 }));
        }),
        ["no-answer-is-yes"] = () => new OnArbiter(async (_, next, ask) =>
            await ask(next) is { Outcome: not ArbiterOutcome.Unavailable } answer ? answer : ArbiterAnswer.Updated(next)),
        ["in-sync-too-early"] = () => new OnArbiter((expected, next, ask) =>
            ask(next.SecondaryState == SecondaryState.Syncing ? next with { SecondaryState = SecondaryState.InSync } : next)),
        ["stale-promoted"] = () => new OnRecord(record =>
            record.SecondaryState == AgentApi.SecondaryState.Stale ? record with { SecondaryState = AgentApi.SecondaryState.InSync } : record),
        ["old-term-forwards-taken"] = () => new OnTarget((target, parts) => new Devices.RefusalIgnored(target, parts)) { CutsFormerPrimary = false },
        ["applied-late"] = () => new OnTarget((target, parts) => new Devices.AppliedLate(target, parts)),
        ["fenced-goes-on"] = () => new OnGuest((replica, parts) => new Devices.RefusalIgnored(replica, parts)),
        ["hidden-forgets"] = () => new OnEpochs(pair => pair with { Hidden = new Overlays.Forgets(pair.Hidden) }),
        ["adopted-holes-are-data"] = () => new OnEpochs(pair => pair with { Hidden = new Overlays.AllHeld(pair.Hidden) }),
        ["forward-answered-early"] = () => new OnLink((link, parts) => new Links.AnsweredEarly(link, parts)),
        ["forward-lost"] = () => new OnLink((link, parts) => new Links.NowAndThenLost(link, parts)),
        ["zeroes-not-forwarded"] = () => new OnLink((link, _) => new Links.NoZeroes(link)),
        ["secondary-flush-skipped"] = () => new OnLink((link, _) => new Links.NoFlush(link)),
        ["checkpoint-not-sent"] = () => new OnLink((link, _) => new Links.NoCheckpoint(link)),
        ["mark-lost"] = () => new OnLineage((store, parts) => new Lineages.MarksLost(store, parts)),
        ["mark-late"] = () => new OnLineage((store, parts) => new Lineages.MarksLate(store, parts)),
        ["extent-not-logged"] = () => new OnLineage((store, _) => new Lineages.NotLogged(store)),
        ["torn-map-trusted"] = () => new OnLineage((store, parts) => new Lineages.TornMapTrusted(store, parts)),
        ["lineage-term-unchecked"] = () => new OnLineage((store, _) => new Lineages.TermUnchecked(store)),
        ["bit-cleared-early"] = () => new ClearsEarly(),
        ["generation-kept"] = () => new KeepsGeneration(),
        ["unknown-taken-for-known"] = () => new OnLink((link, parts) => new MisreadLineage(link, report =>
            parts.Machine.Lineage is { Record: var own } && !report.Record.Current.IsNone && LineageComparison.Compare(own, report.Record).Verdict == LineageVerdict.Unrelated
                ? report with { Record = report.Record with { Current = own.Base.IsNone ? own.Current : own.Base, History = [], Base = default, Target = default } }
                : report)),
        ["peers-map-ignored"] = () => new OnLink((link, _) => new MisreadLineage(link, report => report with { Dirty = null })),
        ["peers-life-ignored"] = () => new OnLink((link, parts) => new MisreadLineage(link, report =>
            report with { Record = report.Record with { Life = parts.Machine.Lineage!.Record.PeerLife } })),
    };

    private sealed class OnDisk(Func<IBlockDevice, Role, IBlockDevice> plant) : Mutant
    {
        public override IBlockDevice Wrap(IBlockDevice disk, Role role, AgentParts parts) => plant(disk, role);
    }

    private sealed class OnArbiter(
        Func<Replication.VolumeRecord, Replication.VolumeRecord, Func<Replication.VolumeRecord, ValueTask<ArbiterAnswer>>, ValueTask<ArbiterAnswer>> plant)
        : Mutant
    {
        public override IArbiter Wrap(IArbiter arbiter, AgentParts parts) => new WrappedArbiter(arbiter, plant);
    }

    private sealed class OnRecord(Func<AgentApi.VolumeRecord, AgentApi.VolumeRecord> plant) : Mutant
    {
        public override IVolumeRecordStore Wrap(IVolumeRecordStore record) => new WrappedRecords(record, plant);
    }

    private sealed class OnTarget(Func<ReplicationTarget, AgentParts, IBlockDevice> plant) : Mutant
    {
        public override IBlockDevice Wrap(ReplicationTarget target, AgentParts parts) => plant(target, parts);
    }

    private sealed class OnGuest(Func<IBlockDevice, AgentParts, IBlockDevice> plant) : Mutant
    {
        public override IBlockDevice WrapGuest(IBlockDevice replica, AgentParts parts) => plant(replica, parts);
    }

    private sealed class OnEpochs(Func<EpochOverlays, EpochOverlays> plant) : Mutant
    {
        public override IEpochStore Wrap(IEpochStore epochs, AgentParts parts) => new WrappedEpochs(epochs, plant);
    }

    private sealed class OnLineage(Func<ILineageStore, AgentParts, ILineageStore> plant) : Mutant
    {
        public override ILineageStore Wrap(ILineageStore lineage, AgentParts parts) => plant(lineage, parts);
    }

    /// <summary>Needs both: what is sent, and the store of whoever sends it.</summary>
    private sealed class ClearsEarly : Mutant
    {
        private readonly Dictionary<string, ILineageStore> stores = new(StringComparer.Ordinal);

        public override ILineageStore Wrap(ILineageStore lineage, AgentParts parts) => stores[parts.Node] = lineage;

        public override IReplicationLink Wrap(IReplicationLink link, AgentParts parts) =>
            new Lineages.ClearsEarly(link, parts, () => stores.GetValueOrDefault(parts.Node));
    }

    /// <summary>Whoever needs a new generation gets the one that it had.</summary>
    private sealed class KeepsGeneration : Mutant
    {
        public override GenerationId Draw(GenerationId drawn, AgentParts parts) =>
            parts.Machine.Lineage?.Record.Current is { IsNone: false } current ? current : drawn;
    }

    private sealed class OnLink(Func<IReplicationLink, AgentParts, IReplicationLink> plant) : Mutant
    {
        public override IReplicationLink Wrap(IReplicationLink link, AgentParts parts) => plant(link, parts);
    }
}
