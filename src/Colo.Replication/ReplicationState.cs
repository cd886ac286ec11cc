namespace Colo.Replication;

/// <summary>Where a replica stands; QEMU's replication stages. README.md shows the table of <see cref="ReplicationTransitions"/>.</summary>
public enum ReplicationState
{
    /// <summary>Not started.</summary>
    None,

    Running,

    /// <summary>Serves, while the buffer is committed into the secondary disk.</summary>
    Failover,

    /// <summary>Serves from the buffer and the disk together, because the commit failed.</summary>
    FailoverFailed,

    Done,
}

public enum ReplicationEvent
{
    Start,

    /// <summary>Start of a full resync on a secondary that runs: its primary has come back.</summary>
    Refill,
    Checkpoint,

    /// <summary>Stop without failover: after its last checkpoint.</summary>
    Stop,

    /// <summary>Stop with failover where nothing is left to commit (primary, or LatestWrite).</summary>
    FailoverAtOnce,

    /// <summary>Stop with failover where the buffer must be committed (LastCheckpoint).</summary>
    FailoverWithCommit,
    CommitDone,
    CommitFailed,
}

/// <summary>The state machine: the one place that says what follows on what.</summary>
public static class ReplicationTransitions
{
    /// <summary>The state after <paramref name="what"/>; the same state means that the call does nothing, or changes no state.</summary>
    /// <exception cref="ReplicationException"><see cref="ReplicationFault.WrongState"/>: the pair is illegal.</exception>
    public static ReplicationState Next(ReplicationState state, ReplicationEvent what) => (state, what) switch
    {
        (ReplicationState.None, ReplicationEvent.Start or ReplicationEvent.Refill) => ReplicationState.Running,

        (ReplicationState.Running, ReplicationEvent.Refill) => ReplicationState.Running,
        (ReplicationState.Running, ReplicationEvent.Checkpoint) => ReplicationState.Running,
        (ReplicationState.Running, ReplicationEvent.Stop) => ReplicationState.Done,
        (ReplicationState.Running, ReplicationEvent.FailoverAtOnce) => ReplicationState.Done,
        (ReplicationState.Running, ReplicationEvent.FailoverWithCommit) => ReplicationState.Failover,

        (ReplicationState.Failover, ReplicationEvent.CommitDone) => ReplicationState.Done,
        (ReplicationState.Failover, ReplicationEvent.CommitFailed) => ReplicationState.FailoverFailed,

        (ReplicationState.FailoverFailed, ReplicationEvent.FailoverAtOnce) => ReplicationState.Failover,
        (ReplicationState.FailoverFailed, ReplicationEvent.FailoverWithCommit) => ReplicationState.Failover,

        // A replica that was promoted can be asked again, as in QEMU: the manager need not know what was answered before it died.
        (ReplicationState.Failover or ReplicationState.FailoverFailed or ReplicationState.Done,
            ReplicationEvent.Start or ReplicationEvent.Refill or ReplicationEvent.Checkpoint or ReplicationEvent.Stop) => state,
        (ReplicationState.Failover or ReplicationState.Done, ReplicationEvent.FailoverAtOnce) => state,
        (ReplicationState.Failover or ReplicationState.Done, ReplicationEvent.FailoverWithCommit) => state,

        _ => throw new ReplicationException(ReplicationFault.WrongState, Explain(state, what)),
    };

    private static string Explain(ReplicationState state, ReplicationEvent what) => state switch
    {
        ReplicationState.None => $"{what}: replication was not started; call Start first",
        ReplicationState.Running => $"{what}: replication runs already",
        _ => $"{what} cannot follow on {state}",
    };
}
