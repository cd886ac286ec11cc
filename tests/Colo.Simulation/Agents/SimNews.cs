using Colo.Replication;
using Colo.Simulation.Engine;
using Colo.Simulation.Checks;

namespace Colo.Simulation.Agents;

/// <summary>What a replica tells of itself: for its status, the trace, the coverage and the checks.</summary>
internal sealed class SimNews(SimProcess process, string role, Trace trace, Coverage coverage) : IReplicationObserver
{
    private ReplicationState state = ReplicationState.None;
    private ServeState serve = ServeState.Confirming;

    public long Checkpoints { get; private set; }

    public bool IsCheckpointWanted { get; private set; }

    public Action<CheckpointReport>? OnCheckpoint { get; set; }

    public void ErrorReported(LatchedError error, bool latched) => Say($"error {(int)error.Number} {error.Message}", $"error:{(int)error.Number} {error.Number}");

    public void StateChanged(ReplicationState next)
    {
        Say($"state {next}", $"state:{role} {state}->{next}");
        state = next;
    }

    public void ServeStateChanged(ServeState next, string reason)
    {
        Say($"serve {next}: {reason}", $"serve:{serve}->{next}");
        serve = next;
    }

    public void Checkpointed(CheckpointReport report)
    {
        if (process.IsDead)
        {
            return;
        }

        Checkpoints++;
        IsCheckpointWanted = false;
        Say($"checkpoint {report.Epoch}", $"event:{role} checkpoint");
        OnCheckpoint?.Invoke(report);
    }

    public void CheckpointWanted(CheckpointReason reason)
    {
        IsCheckpointWanted = true;
        Say($"wants a checkpoint: {reason}", $"event:wanted {reason}");
    }

    public void ResyncChanged(ResyncProgress progress)
    {
        if (progress.State != ResyncState.Copying)
        {
            Say($"resync {progress.State} {progress.Failure}", $"event:resync {progress.State}");
        }
    }

    private void Say(string line, string covered)
    {
        if (!process.IsDead)
        {
            trace.Say($"{process.Name} {role} {line}");
            coverage.Count(covered);
        }
    }
}
