using Colo.Api;
using CsCheck;

namespace Colo.Control.Tests;

/// <summary>
/// Random histories of kills, freezes, cut links, writes, requests and a driver that dies between actions, against the small world.
/// The world throws where a promise is broken; CsCheck prints the seed and the shortest history it found.
/// </summary>
public sealed class ModelProperties
{
    private enum What
    {
        Round,
        HalfRound,
        Time,
        WriteA,
        WriteB,
        KillA,
        KillB,
        RestartA,
        RestartB,
        FreezeA,
        FreezeB,
        ThawA,
        ThawB,
        CutLink,
        MendLink,
        Finish,
        SwitchOver,
        FailOver,
        Force,
        KillC,
        RestartC,
        Decommission,
        Cordon,
        Uncordon,
        Exclude,
        Admit,
        HangDisk,
        MendDisk,
        Prefer,
        Refill,
    }

    private static readonly Gen<What> Event = Gen.Frequency(
        (12, Gen.Const(What.Round)),
        (8, Gen.Const(What.Time)),
        (6, Gen.Const(What.Finish)),
        (20, Gen.Int[0, (int)What.FailOver].Select(i => (What)i)));

    private static readonly Gen<(What What, int Node)> ClusterEvent = Gen.Select(
        Gen.Frequency((3, Event), (2, Gen.Int[(int)What.KillC, (int)What.Refill].Select(i => (What)i))), Gen.Int[0, 2]);

    private static readonly Gen<What> EventOrForce = Gen.Frequency((20, Event), (1, Gen.Const(What.Force)));

    [Fact]
    public void No_history_makes_two_primaries_of_one_term_or_promotes_a_copy_that_misses_writes() =>
        Gen.Select(Gen.Bool, Event.List[1, 120]).Sample((manual, history) => Run(manual, history), iter: 20_000);

    [Fact]
    public void Forced_failovers_never_make_two_primaries_of_one_term() =>
        Gen.Select(Gen.Bool, EventOrForce.List[1, 120]).Sample((manual, history) => Run(manual, history), iter: 10_000);

    [Fact]
    public void When_everything_works_again_the_volume_becomes_protected() =>
        Gen.Select(Gen.Bool, Event.List[1, 80]).Sample(
            (manual, history) =>
            {
                ModelWorld world = Run(manual, history);
                for (int round = 0; round < 40 && !Settled(world); round++)
                {
                    world.Heal();
                    world.Round(int.MaxValue);
                }

                if (!Settled(world))
                {
                    throw new InvalidOperationException($"stuck in {world.LastPlan!.Situation}: {world.LastPlan.Message}");
                }
            },
            iter: 10_000);

    [Fact]
    public void In_a_cluster_whose_nodes_come_and_go_no_history_loses_a_write_or_the_only_copy() =>
        Gen.Select(Gen.Bool, ClusterEvent.List[1, 150]).Sample((manual, history) => RunCluster(manual, history), iter: 20_000);

    [Fact]
    public void In_a_cluster_too_the_volume_becomes_protected_when_everything_works_again() =>
        Gen.Select(Gen.Bool, ClusterEvent.List[1, 100]).Sample(
            (manual, history) =>
            {
                ModelWorld world = RunCluster(manual, history);
                for (int round = 0; round < 60 && !Settled(world); round++)
                {
                    world.Heal();
                    world.Round(int.MaxValue);
                }

                if (!Settled(world))
                {
                    throw new InvalidOperationException($"stuck in {world.LastPlan!.Situation}: {world.LastPlan.Message}");
                }
            },
            iter: 10_000);

    private static ModelWorld RunCluster(bool manual, List<(What What, int Node)> history)
    {
        ModelWorld world = new(manual, cluster: true);
        foreach ((What what, int node) in history)
        {
            Apply(world, what, world.Agents[node]);
        }

        return world;
    }

    private static void Apply(ModelWorld world, What what, ModelAgent any)
    {
        switch (what)
        {
            case What.KillC: world.Kill(any); break;
            case What.RestartC: world.Restart(any); break;
            case What.Decommission: world.Decommission(any); break;
            case What.Cordon: any.Cordoned = true; break;
            case What.Uncordon: any.Cordoned = false; break;
            case What.Exclude: any.Excluded = true; break;
            case What.Admit: (any.Excluded, any.Listed) = (false, true); break;
            case What.HangDisk: any.DiskHangs = true; break;
            case What.MendDisk: any.DiskHangs = false; break;
            case What.Prefer: world.PrimaryNode = any.Node; break;
            case What.Refill: world.Intent = world.Intent with { Resync = any.Node }; break;
            default: Apply(world, what); break;
        }
    }

    private static bool Settled(ModelWorld world) =>
        world.LastPlan is { Situation: VolumeSituation.Protected } && world.Truth!.SecondaryState == SecondaryState.InSync;

    private static ModelWorld Run(bool manual, List<What> history)
    {
        ModelWorld world = new(manual);
        foreach (What what in history)
        {
            Apply(world, what);
        }

        return world;
    }

    private static void Apply(ModelWorld world, What what)
    {
        ModelAgent a = world["node-a"];
        ModelAgent b = world["node-b"];
        switch (what)
        {
            case What.Round: world.Round(int.MaxValue); break;
            case What.HalfRound: world.Round(1); break;
            case What.Time: world.Time(); break;
            case What.WriteA: world.GuestWrite(a); break;
            case What.WriteB: world.GuestWrite(b); break;
            case What.KillA: world.Kill(a); break;
            case What.KillB: world.Kill(b); break;
            case What.RestartA: world.Restart(a); break;
            case What.RestartB: world.Restart(b); break;
            case What.FreezeA: a.Frozen = true; break;
            case What.FreezeB: b.Frozen = true; break;
            case What.ThawA: a.Frozen = false; break;
            case What.ThawB: b.Frozen = false; break;
            case What.CutLink: world.CutLink(); break;
            case What.MendLink: world.MendLink(); break;
            case What.Finish: world.FinishWork(); break;
            case What.SwitchOver: world.Intent = world.Intent with { SwitchOverTo = world.Truth?.Secondary }; break;
            case What.FailOver: Ask(world, new FailoverRequest(world.Truth?.Term ?? 1)); break;
            case What.Force: Ask(world, new FailoverRequest(world.Truth?.Term ?? 1, null, Given.Uid, true)); break;
            default: throw new InvalidOperationException($"no {what}");
        }
    }

    private static void Ask(ModelWorld world, FailoverRequest request) => world.Intent = world.Intent with { Failover = request };
}
