using Colo.Api;
using Colo.Control;
using Colo.Operator.Requests;

namespace Colo.Operator.Volumes;

/// <summary>Why a switchover is wanted: only a person's request is answered; the others wait until it is possible.</summary>
internal enum SwitchoverCause
{
    None,
    Request,

    /// <summary>placement.primaryNode became another one.</summary>
    Placement,

    /// <summary>The primary's node is cordoned.</summary>
    Cordon,
}

/// <summary>What is wanted of a volume beyond its spec: people's requests, a changed preference, a node to leave.</summary>
internal readonly record struct VolumeWishes(VolumeIntent Intent, SwitchoverCause Cause)
{
    /// <param name="isCordoned">Whether a node is one to leave.</param>
    public static VolumeWishes Of(ReplicatedVolume volume, bool isBeingDeleted, VolumeRequests requests, Func<string, bool> isCordoned)
    {
        (string? target, SwitchoverCause cause) = requests.SwitchOverTo is { } asked ? (asked, SwitchoverCause.Request) : Unasked(volume, isCordoned);
        return new(
            new VolumeIntent
            {
                SwitchOverTo = target,
                Failover = requests.Failover,
                Checkpoint = requests.Checkpoint is not null,
                Delete = isBeingDeleted,
            },
            cause);
    }

    private static (string? Target, SwitchoverCause Cause) Unasked(ReplicatedVolume volume, Func<string, bool> isCordoned)
    {
        if (volume.Status is not { CurrentPrimary.Length: > 0 } status || status.SecondaryState != SecondaryState.InSync)
        {
            return (null, SwitchoverCause.None);
        }

        // Only while the change of the spec is not settled: a preference that a failover overruled must not take the disk away from the
        // guest that has started beside it since.
        string preferred = volume.Spec.Placement.PrimaryNode;
        bool isNews = status.ObservedPrimaryNode is { } observed && observed != preferred;
        if (isNews && preferred == status.CurrentSecondary && !isCordoned(preferred))
        {
            return (preferred, SwitchoverCause.Placement);
        }

        return isCordoned(status.CurrentPrimary) && status.CurrentSecondary.Length > 0 && !isCordoned(status.CurrentSecondary)
            ? (status.CurrentSecondary, SwitchoverCause.Cordon)
            : (null, SwitchoverCause.None);
    }
}
