using System.Runtime.InteropServices;
using System.Threading.Tasks.Sources;
using Colo.Blocks;

namespace Colo.Linux;

internal enum IoKind
{
    Read,
    Write,
    WriteZeroes,
    Discard,
    Flush,
    Extents,

    /// <summary>Not a caller's: has a worker answer the flushes that wait. Nobody awaits it.</summary>
    FlushGroup,
}

/// <summary>
/// A request on the slow path: from its submission until its awaiter has taken the status, then back in its file's pool. Whoever
/// awaits it gets the status once; the continuation runs on the worker.
/// </summary>
internal sealed class IoRequest(RawFile file) : IValueTaskSource<BlockStatus>
{
    private ManualResetValueTaskSourceCore<BlockStatus> completion;

    public RawFile File => file;

    public IoKind Kind { get; set; }

    public BlockRange Range { get; set; }

    public Memory<byte> Memory { get; set; }

    public RequestFlags Flags { get; set; }

    public IList<BlockExtent>? Extents { get; set; }

    public int MaxExtents { get; set; }

    /// <summary>Held while the request is queued and runs; the default where none is needed.</summary>
    public RangeLock.Held Held { get; set; }

    /// <summary>In the queue of the workers, in the pool, or in a group of flushes: one at a time.</summary>
    public IoRequest? Next { get; set; }

    public ValueTask<BlockStatus> Task => new(this, completion.Version);

    /// <summary>The payload of a write is only ever read; the device's contract has it as ReadOnlyMemory.</summary>
    public void SetSource(ReadOnlyMemory<byte> source) => Memory = MemoryMarshal.AsMemory(source);

    public void Complete(BlockStatus status)
    {
        RangeLock.Held held = Held;
        Held = default;
        held.Dispose();
        completion.SetResult(status);
    }

    public BlockStatus GetResult(short token)
    {
        BlockStatus status = completion.GetResult(token);
        completion.Reset();
        Memory = default;
        Extents = null;
        file.Recycle(this);
        return status;
    }

    public ValueTaskSourceStatus GetStatus(short token) => completion.GetStatus(token);

    public void OnCompleted(Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags) =>
        completion.OnCompleted(continuation, state, token, flags);
}
