namespace Colo.Control;

/// <summary>A change of primary without loss that somebody wants.</summary>
/// <param name="Asked">By a person's request, which is told what becomes of it; otherwise it is done when it can be done.</param>
internal sealed record PlannedMove(string Target, bool Asked, string Reason)
{
    /// <summary>Null: the primary is to stay where it is.</summary>
    public static PlannedMove? Find(VolumeInput input, VolumeTruth truth)
    {
        if (input.Intent.SwitchOverTo is { } asked)
        {
            return new(asked, true, "asked for");
        }

        if (truth.Secondary.Length == 0 || !MayServe(input, truth.Secondary))
        {
            return null;
        }

        if (input.Facts(truth.Primary) is { Schedulable: false } or { Excluded: true })
        {
            return new(truth.Secondary, false, $"{truth.Primary} is {(input.Facts(truth.Primary)!.Schedulable ? "excluded" : "cordoned")}");
        }

        // Only a change moves it: after a failover the primary stays where it is, or the guest would lose its disk twice.
        string wanted = input.Spec.Placement.PrimaryNode;
        return input.PrimaryNodeBefore is { } before && before != wanted && wanted == truth.Secondary
            ? new(wanted, false, $"placement.primaryNode is {wanted} now")
            : null;
    }

    private static bool MayServe(VolumeInput input, string node) => input.Facts(node) is null or { Schedulable: true, Excluded: false };
}
