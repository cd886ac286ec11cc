using System.Threading.Tasks.Sources;
using Colo.Blocks;
using Colo.Nbd.Wire;

namespace Colo.Nbd.Client;

/// <summary>
/// One request from the call to its answer, and the answer's task: pooled, so that a request allocates nothing.
/// </summary>
/// <remarks>
/// Completed by the receive thread, or by the sender where the reply overtakes a payload that is still being sent in place: the
/// caller's buffer is given back only when both are done with it.
/// </remarks>
internal sealed class PendingRequest(RequestPool pool) : IValueTaskSource<BlockStatus>
{
    private const int Answered = 1;
    private const int PayloadSent = 2;

    /// <summary>A caller who sets no bound gets a prefix of this many extents, whatever a server sends.</summary>
    private const int MaxCollectedExtents = 65536;

    private ManualResetValueTaskSourceCore<BlockStatus> core;
    private BlockStatus status;
    private int phase;
    private int extentsBase;

    public NbdCommand Command { get; private set; }

    public NbdCommandFlags Flags { get; private set; }

    /// <summary>Bytes; a checkpoint carries its epoch here.</summary>
    public long Offset { get; private set; }

    public long Length { get; private set; }

    public Memory<byte> Destination { get; set; }

    public ReadOnlyMemory<byte> Source { get; set; }

    /// <summary>Place in the order of the calls.</summary>
    public long Sequence { get; set; }

    /// <summary>Place in the table of requests on the wire.</summary>
    public int Index { get; set; }

    public uint Generation { get; set; }

    public long SentTimestamp { get; set; }

    /// <summary>Sent again after a reconnect and must not pass anything that was sent before it (a flush).</summary>
    public bool WaitsForAll { get; set; }

    /// <summary>What its reply has brought so far.</summary>
    public ReplyProgress Reply { get; } = new();

    public IList<BlockExtent>? Extents { get; private set; }

    public int MaxExtents { get; private set; }

    public short Version => core.Version;

    public ulong Cookie => ((ulong)Generation << 32) | (uint)Index;

    public void Start(NbdCommand command, NbdCommandFlags flags, long offset, long length)
    {
        (Command, Flags, Offset, Length) = (command, flags, offset, length);
        phase = PayloadSent;
        WaitsForAll = false;
        Reply.Reset();
    }

    public void CollectInto(IList<BlockExtent> extents, int maxExtents) =>
        (Extents, MaxExtents, extentsBase) = (extents, Math.Min(maxExtents, MaxCollectedExtents), extents.Count);

    public void AddExtent(BlockExtent extent)
    {
        if (Extents!.Count - extentsBase < MaxExtents)
        {
            Extents.Add(extent);
        }
    }

    /// <summary>Its payload goes out in place: no answer before <see cref="EndSending"/>.</summary>
    public void BeginSending() => phase = 0;

    public void EndSending()
    {
        if (Interlocked.Or(ref phase, PayloadSent) == Answered)
        {
            core.SetResult(status);
        }
    }

    public void Answer(BlockStatus answer)
    {
        status = answer;
        if (answer != BlockStatus.Ok)
        {
            ForgetExtents();
        }

        if (phase == PayloadSent || Interlocked.Or(ref phase, Answered) == PayloadSent)
        {
            core.SetResult(answer);
        }
    }

    /// <summary>Back to before it was sent: the connection is gone, and no sender holds it.</summary>
    public void Rewind()
    {
        phase = PayloadSent;
        WaitsForAll = Command == NbdCommand.Flush;
        ForgetExtents();
        Reply.Reset();
    }

    public BlockStatus GetResult(short token)
    {
        BlockStatus result = core.GetResult(token);
        core.Reset();
        Destination = default;
        Source = default;
        Extents = null;
        pool.Return(this);
        return result;
    }

    public ValueTaskSourceStatus GetStatus(short token) => core.GetStatus(token);

    public void OnCompleted(Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags) =>
        core.OnCompleted(continuation, state, token, flags);

    private void ForgetExtents()
    {
        while (Extents is not null && Extents.Count > extentsBase)
        {
            Extents.RemoveAt(Extents.Count - 1);
        }
    }
}
