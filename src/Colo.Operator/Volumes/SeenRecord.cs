using Colo.AgentApi;
using Colo.Api;
using Colo.Driver;
using Colo.Kubernetes;

namespace Colo.Operator.Volumes;

/// <summary>The record as a copy of the object shows it: good enough to see that nothing is to be done, never to act on.</summary>
internal static class SeenRecord
{
    /// <summary>Null: there is none, or what is there is none; the truth then says which.</summary>
    public static VolumeRecord? Of(Resource<ReplicatedVolume> volume)
    {
        if (volume.Value.Status is not { RecordRevision: { } revision, Term: > 0 } status)
        {
            return null;
        }

        try
        {
            return new VolumeRecord(
                volume.Uid, status.Term, status.CurrentPrimary, status.CurrentSecondary, Translate.ToAgent(status.SecondaryState), revision);
        }
        catch (ArgumentException)
        {
            return null;
        }
    }
}
