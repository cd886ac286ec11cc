namespace Colo.Replication;

/// <summary>
/// How fast a resync may go: to its rate, where one is set; and while the guest writes, each worker rests as long as it has worked, so that
/// the guest keeps at least half of disks and link.
/// </summary>
internal sealed class ResyncPace(Quorum quorum, long bytesPerSecond, TimeProvider time)
{
    /// <summary>A chunk that took longer was held up by the guest itself, or by a slow disk: more rest would not help.</summary>
    private static readonly TimeSpan LongestRest = TimeSpan.FromMilliseconds(50);

    private readonly long startedAt = time.GetTimestamp();
    private long doneBytes;
    private long seen = quorum.Requests;
    private long lastAt = time.GetTimestamp();

    /// <summary>After each chunk.</summary>
    public async ValueTask KeepAsync(long bytes, CancellationToken stopped)
    {
        TimeSpan rest = Rest();
        if (bytesPerSecond > 0)
        {
            TimeSpan due = TimeSpan.FromSeconds((double)Interlocked.Add(ref doneBytes, bytes) / bytesPerSecond);
            TimeSpan early = due - time.GetElapsedTime(startedAt);
            rest = early > rest ? early : rest;
        }

        if (rest > TimeSpan.Zero)
        {
            await Task.Delay(rest, time, stopped).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }

    private TimeSpan Rest()
    {
        long now = time.GetTimestamp();
        TimeSpan worked = time.GetElapsedTime(Interlocked.Exchange(ref lastAt, now), now);
        long requests = quorum.Requests;
        return Interlocked.Exchange(ref seen, requests) == requests ? TimeSpan.Zero
            : worked < LongestRest ? worked : LongestRest;
    }
}
