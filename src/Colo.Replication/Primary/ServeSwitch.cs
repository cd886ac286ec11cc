using Colo.Blocks;

namespace Colo.Replication;

/// <summary>
/// Whether a primary may serve: one state, its reason, and the requests whose answers are held while it is Suspended. Every change is
/// atomic with taking the held ones out, so that none is held for ever.
/// </summary>
internal sealed class ServeSwitch(RequestGate requests, Divergence divergence, IReplicationObserver observer)
{
    private readonly Lock gate = new();
    private readonly List<QuorumRequest> held = [];
    private TaskCompletionSource changed = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private int state = (int)ServeState.Confirming;

    public ServeState State => (ServeState)Volatile.Read(ref state);

    public string Reason { get; private set; } = "the arbiter has not confirmed the term yet";

    public bool IsOver => State is ServeState.Fenced or ServeState.Closed;

    /// <summary>Ends at the next change after this property was read: read it before <see cref="State"/>.</summary>
    public Task Changed => Volatile.Read(ref changed).Task;

    /// <summary>Changes the state if it is one of <paramref name="from"/>, and answers what was held in the one before.</summary>
    public bool TryChange(ReadOnlySpan<ServeState> from, ServeState to, string reason)
    {
        TaskCompletionSource ended;
        QuorumRequest[] released;
        lock (gate)
        {
            if (!from.Contains(State))
            {
                return false;
            }

            Reason = reason;
            Volatile.Write(ref state, (int)to);
            released = to == ServeState.Suspended ? [] : [.. held];
            if (to != ServeState.Suspended)
            {
                held.Clear();
            }

            ended = changed;
            Volatile.Write(ref changed, new(TaskCreationOptions.RunContinuationsAsynchronously));
        }

        ended.SetResult();
        observer.ServeStateChanged(to, reason);
        foreach (QuorumRequest request in released)
        {
            HoldOrEnd(request);
        }

        return true;
    }

    /// <summary>
    /// For a request that was not acknowledged: held while Suspended; otherwise answered with what the local disk said, now that the
    /// record allows it, or refused.
    /// </summary>
    public void HoldOrEnd(QuorumRequest request)
    {
        if (!TryHold(request))
        {
            End(request, IsOver ? BlockStatus.Shutdown : request.Local);
        }
    }

    /// <summary>False where the answer need not be held (any more).</summary>
    private bool TryHold(QuorumRequest request)
    {
        lock (gate)
        {
            if (State != ServeState.Suspended)
            {
                return false;
            }

            held.Add(request);
            return true;
        }
    }

    private void End(QuorumRequest request, BlockStatus status)
    {
        divergence.HasWrittenAlone |= request.Kind != RequestKind.Flush && request.Remote != BlockStatus.Ok;
        request.ReleaseRange();
        requests.Exit();
        request.Finish(status);
    }
}
