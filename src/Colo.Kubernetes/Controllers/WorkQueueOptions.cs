namespace Colo.Kubernetes;

/// <summary>How long a key that failed waits: base, doubled with each failure up to the cap, and a jitter so that what failed together
/// does not come back together.</summary>
public sealed record WorkQueueOptions
{
    public TimeSpan BaseDelay { get; init; } = TimeSpan.FromMilliseconds(100);

    public TimeSpan MaxDelay { get; init; } = TimeSpan.FromMinutes(1);

    /// <summary>A delay d becomes a random one between d and d * (1 + this).</summary>
    public double Jitter { get; init; } = 0.1;
}
