using Colo.Api;
using Colo.Kubernetes;
using Colo.Operator.Cluster;

namespace Colo.Operator.Events;

/// <summary>Tells people, by Events on the volume. Never waits, never throws.</summary>
internal sealed class VolumeNotices(EventRecorder recorder)
{
    public void Tell(Resource<ReplicatedVolume> volume, VolumeNotice notice) => recorder.Record(
        ResourceVolumes.Type.ReferenceTo(volume), notice.IsWarning ? EventType.Warning : EventType.Normal, notice.Reason, notice.Message);

    /// <summary>An object that cannot be read as a volume at all.</summary>
    public void Unreadable(UnreadableObject volume) => recorder.Record(
        ResourceVolumes.Type.ReferenceTo(new Resource<ReplicatedVolume>(volume.Metadata, null!)), EventType.Warning, NoticeReason.InvalidSpec,
        $"nothing is done for this volume: {volume.Reason}");
}
