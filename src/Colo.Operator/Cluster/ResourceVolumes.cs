using Colo.Api;
using Colo.Kubernetes;

namespace Colo.Operator.Cluster;

/// <summary>ReplicatedVolume as Colo.Kubernetes reads and writes it.</summary>
public static class ResourceVolumes
{
    public static ResourceType<ReplicatedVolume> Type { get; } =
        new(ReplicatedVolume.Group, ReplicatedVolume.Version, "replicatedvolumes", VolumeDocument.JsonOptions) { Kind = ReplicatedVolume.KindName };
}
