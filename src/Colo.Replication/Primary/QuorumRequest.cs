using System.Runtime.CompilerServices;
using System.Threading.Tasks.Sources;
using Colo.Blocks;

namespace Colo.Replication;

internal enum RequestKind
{
    Write,
    Zero,
    Flush,
}

/// <summary>Judges a request that both children have answered: by <see cref="QuorumRequest.Finish"/>, now or later.</summary>
internal interface IQuorumOwner
{
    /// <summary>True where Ok is the answer: the owner has let go of the request.</summary>
    bool TryAcknowledge(QuorumRequest request);

    /// <summary>Not acknowledged: the owner finishes the request, now or later.</summary>
    void Judge(QuorumRequest request);
}

/// <summary>
/// One request that goes to both children and waits for both answers: on the threads that bring them, without allocation. Pooled: it
/// returns to its quorum when its result is taken.
/// </summary>
internal sealed class QuorumRequest : IValueTaskSource<BlockStatus>
{
    private readonly Quorum quorum;
    private readonly Action onLocal;
    private readonly Action onRemote;
    private ManualResetValueTaskSourceCore<BlockStatus> result;
    private ConfiguredValueTaskAwaitable<BlockStatus>.ConfiguredValueTaskAwaiter localAnswer;
    private ConfiguredValueTaskAwaitable<BlockStatus>.ConfiguredValueTaskAwaiter remoteAnswer;
    private int pending;
    private long forwardedAt;

    public QuorumRequest(Quorum quorum)
    {
        this.quorum = quorum;
        onLocal = LocalAnswered;
        onRemote = RemoteAnswered;
    }

    public RequestKind Kind { get; private set; }

    public BlockRange Range { get; private set; }

    public RequestFlags Flags { get; private set; }

    /// <summary>The in-flight range; the owner releases it before the answer.</summary>
    public RangeLock.Held Held { get; private set; }

    public BlockStatus Local { get; set; }

    public BlockStatus Remote { get; set; }

    /// <summary>Timestamp of the forward.</summary>
    public long BegunAt { get; private set; }

    /// <summary>Timestamp of the forward; 0 where it was answered.</summary>
    public long ForwardedAt => Volatile.Read(ref forwardedAt);

    public void Begin(RequestKind kind, BlockRange range, RequestFlags flags, RangeLock.Held held, long timestamp)
    {
        Kind = kind;
        Range = range;
        Flags = flags;
        Held = held;
        // One for each child, and one for the caller: nothing is judged before both were asked.
        pending = 3;
        BegunAt = timestamp;
        Volatile.Write(ref forwardedAt, timestamp);
    }

    /// <summary>Waits for both answers. The request belongs to the owner from here on.</summary>
    public ValueTask<BlockStatus> Run(ValueTask<BlockStatus> remote, ValueTask<BlockStatus> local, IQuorumOwner owner)
    {
        short version = result.Version;
        remoteAnswer = remote.ConfigureAwait(false).GetAwaiter();
        localAnswer = local.ConfigureAwait(false).GetAwaiter();
        Take(ref remoteAnswer, onRemote);
        Take(ref localAnswer, onLocal);
        if (Interlocked.Decrement(ref pending) == 0)
        {
            if (owner.TryAcknowledge(this))
            {
                quorum.Return(this);
                return new(BlockStatus.Ok);
            }

            owner.Judge(this);
        }

        return new(this, version);
    }

    public void ReleaseRange()
    {
        RangeLock.Held held = Held;
        Held = default;
        held.Dispose();
    }

    public void Finish(BlockStatus status) => result.SetResult(status);

    public BlockStatus GetResult(short token)
    {
        BlockStatus status = result.GetResult(token);
        result.Reset();
        quorum.Return(this);
        return status;
    }

    public ValueTaskSourceStatus GetStatus(short token) => result.GetStatus(token);

    public void OnCompleted(Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags) =>
        result.OnCompleted(continuation, state, token, flags);

    private static void Take(
        ref ConfiguredValueTaskAwaitable<BlockStatus>.ConfiguredValueTaskAwaiter answer, Action answered)
    {
        if (answer.IsCompleted)
        {
            answered();
        }
        else
        {
            answer.UnsafeOnCompleted(answered);
        }
    }

    private void LocalAnswered()
    {
        Local = StatusOf(ref localAnswer);
        Answered();
    }

    private void RemoteAnswered()
    {
        Remote = StatusOf(ref remoteAnswer);
        Volatile.Write(ref forwardedAt, 0);
        Answered();
    }

    private void Answered()
    {
        if (Interlocked.Decrement(ref pending) > 0)
        {
            return;
        }

        quorum.Settle(this);
    }

    /// <summary>A device that throws has failed the request; what it threw is its own bug, and the guest gets an answer all the same.</summary>
    private static BlockStatus StatusOf(ref ConfiguredValueTaskAwaitable<BlockStatus>.ConfiguredValueTaskAwaiter answer)
    {
        try
        {
            BlockStatus status = answer.GetResult();
            answer = default;
            return status;
        }
        catch (Exception)
        {
            return BlockStatus.IoError;
        }
    }
}
