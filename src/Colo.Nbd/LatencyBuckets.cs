using System.Numerics;

namespace Colo.Nbd;

/// <summary>How long requests took, by powers of two of a microsecond: one addition a request, and no more to keep than an array.</summary>
public static class LatencyBuckets
{
    public const int Count = 24;

    /// <summary>Of all buckets but the last, which is open: 1 us, 2 us, 4 us ... about 4 s.</summary>
    public static IReadOnlyList<TimeSpan> UpperBounds { get; } =
        Enumerable.Range(0, Count - 1).Select(i => TimeSpan.FromMicroseconds(1L << i)).ToArray();

    public static int IndexOf(double microseconds) =>
        microseconds < 1 ? 0 : Math.Min(BitOperations.Log2((ulong)microseconds) + 1, Count - 1);
}
