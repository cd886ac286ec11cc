using Colo.Api;
using Colo.Control;

namespace Colo.Driver;

/// <summary>When to look at a volume again. Where agents announce changes, only what time alone brings about needs a look.</summary>
internal static class Requeue
{
    /// <summary>While something goes on whose progress people watch.</summary>
    private static readonly TimeSpan Progress = TimeSpan.FromSeconds(2);

    /// <summary>In case an announcement was missed.</summary>
    private static readonly TimeSpan Rest = TimeSpan.FromSeconds(30);

    /// <param name="backoff">What is left of the wait after a failure.</param>
    public static TimeSpan After(VolumePlan plan, VolumeInput input, IAgents agents, TimeSpan? backoff) =>
        backoff is { } left ? left
        : !agents.AnnouncesChanges ? plan.RecheckAfter
        : plan.Situation switch
        {
            VolumeSituation.PrimarySuspect => plan.RecheckAfter,
            VolumeSituation.Protected => UntilCheckpoint(input),
            VolumeSituation.Syncing or VolumeSituation.Committing or VolumeSituation.LinkBroken or VolumeSituation.PrimaryWaiting
                or VolumeSituation.Unrecorded or VolumeSituation.Unplaced or VolumeSituation.PrimaryLost or VolumeSituation.SecondaryLost or VolumeSituation.Deleting => Progress,
            VolumeSituation.SpecInvalid => Rest,
            _ => plan.RecheckAfter,
        };

    private static TimeSpan UntilCheckpoint(VolumeInput input)
    {
        TimeSpan interval = input.Spec.Checkpoint.Interval;
        if (interval <= TimeSpan.Zero || input.Truth is not { } truth || input.View(truth.Primary) is not { } primary)
        {
            return Rest;
        }

        if (primary.Checkpoints == 0)
        {
            return CheckpointSchedule.ShortestGap;
        }

        TimeSpan left = interval - primary.SinceCheckpoint;
        return left < VolumeReconciler.Soon ? VolumeReconciler.Soon : left < Rest ? left : Rest;
    }
}
