namespace Colo.Blocks;

/// <summary>Something that gathers work (requests or replies) and sends it in one go.</summary>
public interface IBatchSink
{
    /// <summary>Sends what was gathered. Called once for each batch that asked for it; must not throw.</summary>
    void FlushBatch();
}

/// <summary>
/// The requests that one thread handles in one go, as Linux's block plug: whoever reads a burst of requests (or replies) opens a
/// batch, handles each, and ends the batch; whoever buffers on the way asks by <see cref="Defer"/> to be flushed at that end, so
/// that a burst leaves in one send. Outside a batch, Defer flushes at once.
/// </summary>
/// <remarks>A batch belongs to its thread; open it around synchronous code only, never across an await.</remarks>
public static class IoBatch
{
    [ThreadStatic]
    private static List<IBatchSink>? sinks;

    [ThreadStatic]
    private static int depth;

    /// <summary>Opens a batch; a nested one joins the outer one. Dispose ends it.</summary>
    public static Scope Begin()
    {
        depth++;
        return default;
    }

    /// <summary>Has <paramref name="sink"/> flushed at the end of this thread's batch, once; at once where there is no batch.</summary>
    public static void Defer(IBatchSink sink)
    {
        if (depth == 0)
        {
            sink.FlushBatch();
            return;
        }

        List<IBatchSink> pending = sinks ??= [];
        foreach (IBatchSink known in pending)
        {
            if (ReferenceEquals(known, sink))
            {
                return;
            }
        }

        pending.Add(sink);
    }

    private static void End()
    {
        if (depth > 1 || sinks is null || sinks.Count == 0)
        {
            depth--;
            return;
        }

        // A flush may defer again, itself included (a reply completes a request whose own reply waits elsewhere).
        while (sinks.Count > 0)
        {
            IBatchSink sink = sinks[0];
            sinks.RemoveAt(0);
            sink.FlushBatch();
        }

        depth--;
    }

    public readonly struct Scope : IDisposable
    {
        public void Dispose() => End();
    }
}
