using Colo.Api;

namespace Colo.Control;

/// <summary>What is the case with a volume. The table in README.md is this enum; <see cref="VolumeReconciler"/> switches over it.</summary>
public enum VolumeSituation
{
    Unrecorded,
    Unplaced,
    Deleting,
    SwitchingOver,
    PrimarySuspect,
    TakingOver,
    PrimaryLost,
    Promoting,
    PrimaryUnprepared,
    PrimaryWaiting,
    SpecInvalid,
    Replacing,
    Refilling,
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

    /// <summary>What became of a copy that was asked to be made anew; null: none was, or the volume is busy with something else.</summary>
    public RefillProgress? Refill { get; init; }

    public DeletionProgress? Deletion { get; init; }

    /// <summary>The node that is to become primary, by a request or by a plan; null: nobody.</summary>
    public string? TargetPrimary { get; init; }

    /// <summary>What in the spec is not, or cannot be, applied; null: nothing.</summary>
    public UnappliedSpec? Unapplied { get; init; }
}

/// <summary>Why a spec is not what is the case.</summary>
/// <param name="Reason">One word in CamelCase.</param>
public sealed record UnappliedSpec(string Reason, string Message)
{
    public const string InvalidSpec = "InvalidSpec";
    public const string ResizeNotSupported = "ResizeNotSupported";
    public const string NoPlacement = "NoPlacement";
    public const string NotAReplica = "NotAReplica";
}
