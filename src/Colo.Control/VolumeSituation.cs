using Colo.Api;

namespace Colo.Control;

/// <summary>What is the case with a volume. The table in README.md is this enum; <see cref="VolumeReconciler"/> switches over it.</summary>
public enum VolumeSituation
{
    Unrecorded,
    Deleting,
    SwitchingOver,
    PrimarySuspect,
    TakingOver,
    PrimaryLost,
    Promoting,
    PrimaryUnprepared,
    PrimaryWaiting,
    SecondaryLost,
    SecondaryUnprepared,
    SecondaryStopped,
    Committing,
    Unattached,
    Syncing,
    LinkBroken,
    Protected,
}

/// <summary>What the reconciler decided in one round.</summary>
/// <param name="Situation">What it saw.</param>
/// <param name="Actions">What to do now, in order; empty: wait.</param>
/// <param name="Message">Why, in one sentence for people.</param>
/// <param name="RecheckAfter">When nothing else happens, look again then.</param>
public sealed record VolumePlan(VolumeSituation Situation, IReadOnlyList<VolumeAction> Actions, string Message, TimeSpan RecheckAfter)
{
    public VolumePhase Phase { get; init; }

    /// <summary>What became of a switchover that was asked for; null: none was.</summary>
    public SwitchoverProgress? Switchover { get; init; }

    /// <summary>What became of a failover that was asked for; null: none was.</summary>
    public FailoverDecision? Failover { get; init; }
}
