namespace Colo.Nbd.Client;

/// <summary>How long, and how eagerly, a lost connection is tried again. Bounded by attempts and by a deadline for each loss.</summary>
/// <remarks>
/// While trying, requests wait; afterwards those without an answer are sent again in their old order. A server that lost
/// acknowledged but unflushed writes (its machine died, not just its process) cannot be told apart: who must know that uses
/// <see cref="None"/> and resyncs.
/// </remarks>
public sealed record ReconnectPolicy
{
    /// <summary>No second try: every pending request fails at once. For the replication link.</summary>
    public static readonly ReconnectPolicy None = new() { MaxAttempts = 0 };

    /// <summary>About half a minute: longer than a server's restart, shorter than a guest's patience.</summary>
    public static readonly ReconnectPolicy Default = new();

    /// <summary>0 means never. Counted from the last reply of the server, so that one who accepts and drops us ends too.</summary>
    public int MaxAttempts { get; init; } = 60;

    public TimeSpan InitialDelay { get; init; } = TimeSpan.FromMilliseconds(50);

    /// <summary>The delay doubles up to here.</summary>
    public TimeSpan MaxDelay { get; init; } = TimeSpan.FromSeconds(2);

    /// <summary>From the loss; then every pending request fails.</summary>
    public TimeSpan Deadline { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>Share of each delay that is random, 0 to 1: so that many clients of one dead server do not come back in step.</summary>
    public double Jitter { get; init; } = 0.5;

    internal TimeSpan DelayBefore(int attempt, double random)
    {
        double milliseconds = Math.Min(
            InitialDelay.TotalMilliseconds * Math.Pow(2, Math.Min(attempt, 30)), MaxDelay.TotalMilliseconds);
        return TimeSpan.FromMilliseconds(milliseconds * (1 - (Jitter * random)));
    }

    internal void Validate()
    {
        ArgumentOutOfRangeException.ThrowIfNegative(MaxAttempts);
        ArgumentOutOfRangeException.ThrowIfLessThan(InitialDelay, TimeSpan.Zero, nameof(InitialDelay));
        ArgumentOutOfRangeException.ThrowIfLessThan(MaxDelay, InitialDelay, nameof(MaxDelay));
        ArgumentOutOfRangeException.ThrowIfLessThan(Deadline, TimeSpan.Zero, nameof(Deadline));
        ArgumentOutOfRangeException.ThrowIfNegative(Jitter);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(Jitter, 1);
    }
}
