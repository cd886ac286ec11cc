using Colo.Simulation.Engine;
using Colo.Simulation.World;

namespace Colo.Simulation.Faults;

/// <summary>All that will go wrong in a run, from the seed. Taking one out changes no other: that is how a failing run is made small.</summary>
internal static class Schedule
{
    /// <summary>Before the first fault the pair has become one, most of the time.</summary>
    private static readonly TimeSpan Quiet = TimeSpan.FromSeconds(2);

    private static readonly FaultKind[] Kinds = Enum.GetValues<FaultKind>();

    private static readonly string[] Moments =
    [
        "event:secondary checkpoint", "event:attach Full", "event:attach Recopy", "event:resync Completed", "event:began anew",
        "event:attach Bitmap", "serve:Replicating->Suspended", "serve:Suspended->Alone", "serve:Confirming->Waiting", "action:ReplaceRecord",
        "state:secondary Running->Done", "state:secondary Running->Failover", "situation:TakingOver", "action:AttachSecondary", "action:PrepareSecondary",
    ];

    public static IReadOnlyList<Fault> Of(long seed, TimeSpan length)
    {
        IReadOnlyList<string> nodes = Profile.Of(seed).Nodes;
        Dice dice = Dice.For(seed, "faults");
        int count = 2 + dice.Below(14);
        List<Fault> faults = [];
        TimeSpan at = Quiet;
        for (int number = 1; number <= count; number++)
        {
            // Troubles come together: half of them shortly after another.
            at = dice.Chance(0.5) && number > 1
                ? at + dice.Between(TimeSpan.Zero, TimeSpan.FromSeconds(3))
                : dice.Between(Quiet, length);
            TimeSpan lasts = dice.Below(3) switch
            {
                0 => dice.Between(TimeSpan.FromMilliseconds(50), TimeSpan.FromSeconds(2)),
                1 => dice.Between(TimeSpan.FromSeconds(1), TimeSpan.FromSeconds(12)),
                _ => dice.Between(TimeSpan.FromSeconds(5), TimeSpan.FromSeconds(30)),
            };
            Fault fault = new(number, dice.Pick(Kinds), dice.Pick(nodes), at, lasts, dice.Pick([0.02, 0.2, 1.0]));
            string moment = dice.Pick(Moments);
            TimeSpan shortly = dice.Chance(0.4) ? TimeSpan.Zero : dice.Between(TimeSpan.Zero, TimeSpan.FromMilliseconds(80));
            int nth = 1 + dice.Below(3);
            faults.Add(dice.Chance(0.35) ? fault with { After = moment, At = shortly, Nth = nth } : fault);
        }

        if (nodes.Count > 2)
        {
            // What a third node is there for.
            faults.Add(new(count + 1, FaultKind.SecondaryReplaced, nodes[0], dice.Between(Quiet, length), dice.Between(TimeSpan.FromSeconds(4), TimeSpan.FromSeconds(15)), 1.0));
        }

        return faults;
    }
}
