using Colo.Api;

namespace Colo.Operator.Status;

/// <summary>When each condition last became another, carried from round to round: a changed reason or message does not move it.</summary>
public static class ConditionTimes
{
    public static IReadOnlyList<VolumeCondition> Carry(
        IReadOnlyList<VolumeCondition> before, IReadOnlyList<VolumeCondition> now, long? generation, DateTimeOffset time) =>
        [.. now.Select(c => c with
        {
            ObservedGeneration = generation,
            LastTransitionTime = before.FirstOrDefault(b => b.Type == c.Type) is { } last && last.Status == c.Status && last.LastTransitionTime is { } since
                ? since
                : WholeSeconds(time),
        })];

    /// <summary>As Kubernetes keeps times.</summary>
    private static DateTimeOffset WholeSeconds(DateTimeOffset time) => new(time.Ticks - (time.Ticks % TimeSpan.TicksPerSecond), time.Offset);
}
