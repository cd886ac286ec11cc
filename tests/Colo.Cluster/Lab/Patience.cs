using System.Diagnostics;

namespace Colo.Cluster.Lab;

/// <summary>Waits for conditions of a cluster. The bounds are hang detectors; what a scenario promises about time it measures itself.</summary>
internal static class Patience
{
    /// <summary>Above what any single step takes on a busy two-core machine.</summary>
    public static readonly TimeSpan Step = TimeSpan.FromSeconds(90);

    private static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(200);

    /// <param name="condition">Null: fulfilled. Otherwise what is the case instead, for the message.</param>
    public static async Task UntilAsync(string what, Func<Task<string?>> condition, TimeSpan? within = null)
    {
        long start = Stopwatch.GetTimestamp();
        while (await condition() is { } instead)
        {
            if (Stopwatch.GetElapsedTime(start) > (within ?? Step))
            {
                throw new TimeoutException($"not within {within ?? Step}: {what}; instead: {instead}");
            }

            await Task.Delay(Interval);
        }
    }
}
