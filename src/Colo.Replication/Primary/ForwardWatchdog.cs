using Colo.Blocks;

namespace Colo.Replication;

/// <summary>Gives a secondary up that leaves a forward or a checkpoint unanswered: looks four times in each timeout.</summary>
internal sealed class ForwardWatchdog(
    TimeSpan timeout, Quorum quorum, PrimaryCheckpoint checkpoint, GoingAlone goingAlone, TimeProvider time) : IAsyncDisposable
{
    private ITimer? timer;

    public void Start() => timer = time.CreateTimer(_ => Look(), null, timeout / 4, timeout / 4);

    public ValueTask DisposeAsync() => timer?.DisposeAsync() ?? ValueTask.CompletedTask;

    private void Look()
    {
        TimeSpan checkpointed = checkpoint.UnansweredFor();
        TimeSpan oldest = quorum.OldestForward();
        oldest = checkpointed > oldest ? checkpointed : oldest;
        if (oldest >= timeout)
        {
            goingAlone.ForwardFailed($"a forward is unanswered for {oldest.TotalSeconds:F1} s", BlockStatus.IoError);
        }
    }
}
