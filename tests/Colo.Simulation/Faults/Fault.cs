namespace Colo.Simulation.Faults;

internal enum FaultKind
{
    AgentKilled,
    AgentsKilled,
    AgentRestarted,
    PowerLost,
    PowerLostOnBoth,

    /// <summary>The secondary, then, when it misses writes, the primary too; and the secondary comes back alone.</summary>
    BothDownStaleFirst,
    Paused,

    /// <summary>The primary goes at the moment when the next such thing is under way.</summary>
    FailoverDuringCheckpoint,
    FailoverDuringResync,
    FailoverDuringCommit,
    FailoverDuringFailover,
    PeersCut,
    PeersCutOneWay,
    NodeCutOff,
    ArbiterCutOff,
    ControlCutOff,
    ConnectionsBroken,
    NetworkSlow,
    ArbiterDown,
    ArbiterLosesAnswers,
    ArbiterSlow,
    ReadsFail,
    WritesFail,
    FlushesFail,
    DiskFull,
    BuffersFull,
    DiskSlow,
    DiskHangs,
    SectorsUnreadable,

    /// <summary>A whole file system, to a moment when the machine was off.</summary>
    DiskSetBack,

    /// <summary>From a backup, as other files.</summary>
    DiskRestored,

    /// <summary>Under the replica's name lies what no replica of this volume has ever held.</summary>
    DiskForeign,

    StateRots,
    LineageRots,
    ActivityRots,
    MapRots,
    BuffersRot,
    ClockJumps,
    OperatorKilled,
    CallsRepeated,

    /// <summary>Its node goes away and shall hold no replica; the second copy moves to a third one, and then it comes back.</summary>
    SecondaryReplaced,
    SwitchoverAsked,
    FailoverAsked,
    CheckpointAsked,
    ResyncAsked,
}

/// <summary>One thing that goes wrong (or that a person asks for), and when: at a time, or shortly after something has happened for the n-th
/// time.</summary>
internal sealed record Fault(int Number, FaultKind Kind, string Node, TimeSpan At, TimeSpan Lasts, double Chance)
{
    /// <summary>A line of the coverage table; null: at <see cref="At"/>, otherwise so long after it.</summary>
    public string? After { get; init; }

    public int Nth { get; init; } = 1;

    public override string ToString() => FormattableString.Invariant(
        $"#{Number} {Kind} {Node} {(After is null ? "at" : $"after {After} ({Nth}) +")} {At.TotalSeconds:F3} s for {Lasts.TotalSeconds:F3} s, {Chance:F2}");
}
