using System.Globalization;

namespace Colo.Chaos.Faults;

internal enum FaultKind
{
    KillAgent,
    FreezeAgent,
    KillOperator,
    FreezeOperator,
    KillArbiter,
    FreezeArbiter,
    Switchover,
    CutPeers,
    CutPeersOneWay,
    CutArbiter,
    CutArbiterOneWay,
    CutOperator,
    CutOperatorOneWay,
    LosePackets,
    SlowLink,
    FullDisk,
    DiskErrors,
    FlushErrors,
    HungDisk,
    SlowDisk,
}

/// <summary>Whom it meets, by what he is for the volume when it begins.</summary>
internal enum Role
{
    Primary,
    Secondary,
    Spare,
}

/// <param name="Kind">What happens,</param>
/// <param name="Role">to whom, where it happens to a node,</param>
/// <param name="After">so long after the round's begin,</param>
/// <param name="For">for so long.</param>
internal sealed record Fault(FaultKind Kind, Role Role, TimeSpan After, TimeSpan For)
{
    public override string ToString()
    {
        string whom = Kind is FaultKind.KillOperator or FaultKind.FreezeOperator or FaultKind.KillArbiter or FaultKind.FreezeArbiter or FaultKind.Switchover
            ? "" : $" {Role}";
        return string.Create(CultureInfo.InvariantCulture, $"{Kind}{whom} {After.TotalSeconds:0.0}+{For.TotalSeconds:0.0}s");
    }
}

/// <summary>The faults of every round, from the seed alone: round n of a seed is the same however many rounds there are.</summary>
internal static class FaultSchedule
{
    private const int MostFaultsPerRound = 4;

    /// <summary>What needs network namespaces and block devices, and so root, comes after it.</summary>
    private const FaultKind LastWithoutRoot = FaultKind.Switchover;

    /// <param name="seed">Of the run.</param>
    /// <param name="round">From 0.</param>
    /// <param name="hasRoot">Without it, only what needs none.</param>
    public static IReadOnlyList<Fault> Round(int seed, int round, bool hasRoot)
    {
        Random random = new(HashCode(seed, round));
        int kinds = 1 + (int)(hasRoot ? FaultKind.SlowDisk : LastWithoutRoot);
        List<Fault> faults = [];
        for (int i = random.Next(1, MostFaultsPerRound + 1); i > 0; i--)
        {
            // Each kind in its turn first, so that a short run has had many.
            FaultKind kind = faults.Count == 0 ? (FaultKind)((round + (seed & 0xff)) % kinds) : (FaultKind)random.Next(kinds);
            Role role = random.Next(8) switch { < 4 => Role.Primary, < 7 => Role.Secondary, _ => Role.Spare };

            // Half of them are shorter than every timeout, the others longer than any (3 s of heartbeats, 3 s of a peer).
            double seconds = random.Next(2) == 0 ? 0.2 + (2 * random.NextDouble()) : 5 + (4 * random.NextDouble());
            faults.Add(new(kind, role, TimeSpan.FromSeconds(2 * random.NextDouble()), TimeSpan.FromSeconds(seconds)));
        }

        return faults;
    }

    /// <summary>The framework's own is another one in each process.</summary>
    private static int HashCode(int seed, int round) => unchecked((seed * 486187739) + (round * 16777619));
}
