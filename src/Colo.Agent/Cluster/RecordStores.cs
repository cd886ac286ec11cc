using Colo.Agent.Volumes;
using Colo.AgentApi;

namespace Colo.Agent.Cluster;

/// <summary>Where the record of each volume is kept, as its Prepare said: a file of the embedded control plane, or its object in
/// Kubernetes.</summary>
public sealed class RecordStores(ClusterAccess cluster)
{
    /// <summary>A volume whose object this agent cannot reach has a store that never answers: its guest's I/O is held, not lost.</summary>
    public IVolumeRecordStore Of(ReplicaSpec spec) =>
        !spec.ArbiterKubernetes ? new VolumeRecordFile(spec.ArbiterDirectory, spec.Uid)
        : cluster.IsEnabled
            ? new VolumeRecordObject(
                cluster.Client, spec.Namespace, spec.Name, spec.Uid, new() { RequestTimeout = cluster.RequestTimeout })
        : new SilentStore(spec);

    private sealed class SilentStore(ReplicaSpec spec) : IVolumeRecordStore
    {
        public string Location => $"{spec.Namespace}/{spec.Name} in Kubernetes";

        public Task<VolumeRecord?> ReadAsync(CancellationToken token) => Task.FromException<VolumeRecord?>(NoApi());

        public Task<RecordChange> TryCreateAsync(VolumeRecord first, CancellationToken token) => Task.FromException<RecordChange>(NoApi());

        public Task<RecordChange> TryReplaceAsync(VolumeRecord expected, VolumeRecord next, CancellationToken token) =>
            Task.FromException<RecordChange>(NoApi());

        public Task DeleteAsync(CancellationToken token) => Task.FromException(NoApi());

        private IOException NoApi() => new($"{Location}: this agent was started without Kubernetes (--kubernetes)");
    }
}
