namespace Colo.Replication;

/// <summary>
/// How fast a resync may go: to its rate, where one is set; and while the guest writes, each worker rests as long as it has worked, so that
/// the guest keeps at least half of disks and link.
/// </summary>
/// <param name="guestRequests">How many the guest has made so far.</param>
/// <param name="bytesPerSecond">0: no limit.</param>
/// <param name="time">The replica's.</param>
internal sealed class ResyncPace(Func<long> guestRequests, long bytesPerSecond, TimeProvider time)
{
    /// <summary>A chunk that took longer was held up by the guest itself, or by a slow disk: more rest would not help.</summary>
    private static readonly TimeSpan LongestRest = TimeSpan.FromMilliseconds(50);

    private readonly long startedAt = time.GetTimestamp();
    private long doneBytes;
    private long seen = guestRequests();

    /// <summary>After each chunk, which took so long.</summary>
    public async ValueTask KeepAsync(long bytes, TimeSpan worked, CancellationToken stopped)
    {
        TimeSpan rest = RestAfter(bytes, worked);
        if (rest > TimeSpan.Zero)
        {
            await Task.Delay(rest, time, stopped).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }

    /// <summary>How long the worker that has just copied so many bytes does nothing.</summary>
    internal TimeSpan RestAfter(long bytes, TimeSpan worked)
    {
        TimeSpan rest = RestForGuest(worked);
        if (bytesPerSecond > 0)
        {
            TimeSpan due = TimeSpan.FromSeconds((double)Interlocked.Add(ref doneBytes, bytes) / bytesPerSecond);
            TimeSpan early = due - time.GetElapsedTime(startedAt);
            rest = early > rest ? early : rest;
        }

        return rest;
    }

    private TimeSpan RestForGuest(TimeSpan worked)
    {
        long requests = guestRequests();
        return Interlocked.Exchange(ref seen, requests) == requests ? TimeSpan.Zero
            : worked < LongestRest ? worked : LongestRest;
    }
}
