namespace Colo.Kubernetes;

/// <summary>Delays that double up to a cap, each a random one between its half and its whole: many that failed together do not come back
/// together.</summary>
internal sealed class Backoff(TimeSpan min, TimeSpan max)
{
    private int failures;

    public TimeSpan Next(TimeSpan? atLeast = null)
    {
        double whole = Math.Min(max.TotalMilliseconds, min.TotalMilliseconds * Math.Pow(2, Math.Min(failures, 30)));
        failures++;
        TimeSpan delay = TimeSpan.FromMilliseconds(whole * (0.5 + (Random.Shared.NextDouble() / 2)));
        return atLeast is { } asked && asked > delay ? TimeSpan.FromTicks(Math.Min(asked.Ticks, max.Ticks)) : delay;
    }

    public void Reset() => failures = 0;
}
