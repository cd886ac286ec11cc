using Colo.Control;
using Colo.Simulation.Agents;
using Colo.Simulation.Engine;
using Colo.Simulation.World;

namespace Colo.Simulation.Control;

/// <summary>Who reads what the status says when nothing goes wrong any more, and does what it asks for.</summary>
internal sealed class Person(SimWorld world)
{
    private static readonly string[] Damage =
        ["checksum is wrong", "is another file", "old copy was put back", "is refused:", "mixture", "is at write"];

    /// <summary>The only copy that may serve is refused, with a name for it: no program decides what is to be lost.</summary>
    public bool MustDecide()
    {
        if (world.Arbiter.Record is not { } record || world.Operator!.Situation is not (VolumeSituation.PrimaryLost or VolumeSituation.Promoting or VolumeSituation.PrimaryUnprepared))
        {
            return false;
        }

        return IsDamage(ReplicaOf(record.Primary).Fault);
    }

    public async Task HelpAsync(SimProcess watcher)
    {
        if (world.Operator!.Situation is VolumeSituation.Promoting or VolumeSituation.PrimaryLost
            && world.Operator.Message.Contains("no longer holds its last checkpoint", StringComparison.Ordinal))
        {
            world.TakeLatestWrite();
            await watcher.Time.DelayAsync(TimeSpan.FromSeconds(1));
        }

        if (world.Intent.Resync is null && world.Arbiter.Record is { Secondary.Length: > 0 } record
            && (IsDamage(ReplicaOf(record.Secondary).Fault) || IsDamage(ReplicaOf(record.Primary).Primary?.LinkFailure)))
        {
            world.Trace.Say($"a person has the copy of {record.Secondary} made anew: {ReplicaOf(record.Secondary).Fault ?? ReplicaOf(record.Primary).Primary!.LinkFailure}");
            world.Coverage.Count("end:copy made anew");
            world.Intent = world.Intent with { Resync = record.Secondary };
            await watcher.Time.DelayAsync(TimeSpan.FromSeconds(1));
        }
    }

    private static bool IsDamage(string? reason) => reason is not null && Damage.Any(d => reason.Contains(d, StringComparison.Ordinal));

    private SimReplica ReplicaOf(string node) => world.Machine(node).Agent!.Volume.Replica;
}
