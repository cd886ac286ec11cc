namespace Colo.Replication;

public enum BufferFullPolicy
{
    /// <summary>Writes that need room wait, for a bounded time, for a checkpoint, and fail with error 3 where none comes.</summary>
    Checkpoint,

    /// <summary>Writes that need room fail with error 3 at once, so that the primary goes on alone.</summary>
    Detach,
}

/// <summary>How large the hidden and active disk may grow together, and what happens then: never an unbounded file, never a wrong byte.</summary>
public sealed record BufferPolicy
{
    public static readonly long DefaultLimitBytes = 2L << 30;

    /// <param name="limitBytes">1 MiB or more: less cannot hold the writes in flight.</param>
    /// <param name="onFull">What to do at the limit.</param>
    /// <param name="highWaterBytes">Where a checkpoint is asked for; 0: three quarters of the limit.</param>
    /// <param name="patience">How long writes wait at the limit under <see cref="BufferFullPolicy.Checkpoint"/>; default 5 s, so that
    /// the primary's forward timeout does not come first.</param>
    public BufferPolicy(long limitBytes, BufferFullPolicy onFull, long highWaterBytes = 0, TimeSpan? patience = null)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(limitBytes, MinimumLimitBytes);
        ArgumentOutOfRangeException.ThrowIfNegative(highWaterBytes);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(highWaterBytes, limitBytes);
        LimitBytes = limitBytes;
        OnFull = onFull;
        HighWaterBytes = highWaterBytes == 0 ? limitBytes / 4 * 3 : highWaterBytes;
        Patience = patience ?? TimeSpan.FromSeconds(5);
    }

    public const long MinimumLimitBytes = 1 << 20;

    public long LimitBytes { get; }

    public long HighWaterBytes { get; }

    public BufferFullPolicy OnFull { get; }

    public TimeSpan Patience { get; }
}
