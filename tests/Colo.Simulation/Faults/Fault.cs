namespace Colo.Simulation.Faults;

internal enum FaultKind
{
    AgentKilled,
    AgentsKilled,
    AgentRestarted,
    PowerLost,
    PowerLostOnBoth,
    Paused,
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
    ClockJumps,
    OperatorKilled,
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
