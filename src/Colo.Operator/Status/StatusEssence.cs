using Colo.Api;

namespace Colo.Operator.Status;

/// <summary>
/// Tells a status that says something new from one whose counters went on. The first is written at once, the second seldom: thousands of
/// volumes at rest must not keep the API server busy.
/// </summary>
public static class StatusEssence
{
    /// <summary>A copy's progress is worth a write in steps of this many per cent.</summary>
    private const double ProgressStep = 10;

    public static bool Differs(ReplicatedVolumeStatus before, ReplicatedVolumeStatus now) => Of(before) != Of(now);

    public static bool DiffersAtAll(ReplicatedVolumeStatus before, ReplicatedVolumeStatus now) =>
        VolumeDocument.ToJson(WithoutSightings(before)) != VolumeDocument.ToJson(WithoutSightings(now));

    private static string Of(ReplicatedVolumeStatus status) => VolumeDocument.ToJson(status with
    {
        // Sentences count seconds; what they are about stands in a phase, a state or a reason as well.
        Message = "",
        Replicas = [.. status.Replicas.Select(r => r with { LastSeen = null })],
        Checkpoint = null,
        Buffer = null,
        Resync = status.Resync is { } resync
            ? new ResyncStatus { Percent = Math.Floor(resync.Percent / ProgressStep) }
            : null,
        Conditions = [.. status.Conditions.Select(c => c with { Message = "", LastTransitionTime = null, ObservedGeneration = null })],
        Term = 0,
        CurrentPrimary = "",
        CurrentSecondary = "",
        SecondaryState = default,
        RecordRevision = null,

        // Set by the writer, and looked at apart: a status that was read back has them, one that was just made has not.
        ObservedGeneration = null,
    });

    /// <summary>When an agent was last seen is worth writing only with something else: at rest that is always now.</summary>
    private static ReplicatedVolumeStatus WithoutSightings(ReplicatedVolumeStatus status) => status with
    {
        Replicas = [.. status.Replicas.Select(r => r with { LastSeen = r.Online ? null : r.LastSeen })],
        Conditions = [.. status.Conditions.Select(c => c with { LastTransitionTime = null, ObservedGeneration = null })],
        RecordRevision = null,
        ObservedGeneration = null,
    };
}
