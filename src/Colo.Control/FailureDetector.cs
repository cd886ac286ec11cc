namespace Colo.Control;

public enum PrimaryHealth
{
    Alive,

    /// <summary>Silent, or without its disk, but not for long enough to act.</summary>
    Suspect,

    /// <summary>Silent for the full time: a takeover may be tried. It may still live; the record decides, not this.</summary>
    Dead,

    /// <summary>Answers, and says that it cannot serve this volume.</summary>
    Faulted,
}

/// <param name="Remaining">Suspect: how much longer it must stay silent.</param>
public readonly record struct PrimaryVerdict(PrimaryHealth Health, TimeSpan Remaining, string Reason);

/// <summary>
/// Decides WHEN a takeover may be tried, from elapsed times of the observer's own clock and from what the surviving replica says of
/// its connection. It never decides who may write: a wrong verdict costs a failover, not a byte.
/// </summary>
public static class FailureDetector
{
    /// <summary>
    /// A frozen process keeps its TCP connections open, so the survivor's word cannot hold a takeover for ever; a slow control
    /// path with a living data path deserves more patience than a lost connection.
    /// </summary>
    public const int PatienceWhileConnected = 2;

    /// <summary>
    /// An agent that ended in order is being restarted or upgraded, which takes longer than a heartbeat timeout; its guests keep their place
    /// and wait. One that does not come back has to be replaced all the same.
    /// </summary>
    public static readonly TimeSpan PatienceWithRestart = TimeSpan.FromSeconds(30);

    /// <param name="primary">The node that the record names.</param>
    /// <param name="survivor">The other node; null where there is none.</param>
    /// <param name="heartbeatTimeout">spec.failover.heartbeatTimeout.</param>
    public static PrimaryVerdict Judge(ReplicaView primary, ReplicaView? survivor, TimeSpan heartbeatTimeout)
    {
        if (primary.Answers)
        {
            return primary.Stage == ReplicaStage.Faulted
                ? new(PrimaryHealth.Faulted, default, $"{primary.Node} cannot serve: {primary.Error ?? "its replica is faulted"}")
                : JudgeDisk(primary, heartbeatTimeout);
        }

        bool stillConnected = survivor is { Answers: true, Connected: true };
        TimeSpan needed = stillConnected ? heartbeatTimeout * PatienceWhileConnected : heartbeatTimeout;
        if (primary.LeftInOrder && needed < PatienceWithRestart)
        {
            needed = PatienceWithRestart;
        }

        string silence = primary.LeftInOrder
            ? $"the agent of {primary.Node} was stopped {primary.SilentFor.TotalSeconds:0.0} s ago"
            : $"{primary.Node} has been silent for {primary.SilentFor.TotalSeconds:0.0} s";
        if (primary.SilentFor < needed)
        {
            return new(PrimaryHealth.Suspect, needed - primary.SilentFor,
                stillConnected ? $"{silence}, but is still connected to {survivor!.Node}" : $"{silence} of {needed.TotalSeconds:0.0} s");
        }

        return new(PrimaryHealth.Dead, default, survivor switch
        {
            { Answers: true, Connected: false } => $"{silence} and has lost its connection to {survivor.Node}",
            { Answers: true } => $"{silence} though its connection to {survivor.Node} is open: it hangs",
            _ => silence,
        });
    }

    /// <summary>A disk that hangs answers nothing, while its agent answers all the time: the probe of the pool is the disk's heartbeat.</summary>
    private static PrimaryVerdict JudgeDisk(ReplicaView primary, TimeSpan heartbeatTimeout)
    {
        if (primary.PoolFailingFor is not { } failing)
        {
            return new(PrimaryHealth.Alive, default, $"{primary.Node} answers");
        }

        string reason = $"the pool of {primary.Node} fails its probe ({primary.PoolFault})";
        return failing < heartbeatTimeout
            ? new(PrimaryHealth.Suspect, heartbeatTimeout - failing, reason)
            : new(PrimaryHealth.Faulted, default, reason);
    }
}
