using Colo.AgentApi;
using LatchedError = Colo.AgentApi.LatchedError;
using RecoveryPoint = Colo.AgentApi.RecoveryPoint;
using ResyncMode = Colo.AgentApi.ResyncMode;

namespace Colo.Agent.Volumes;

/// <summary>The replicas of this node, as the service calls them. Requests arrive parsed; refusals are <see cref="VolumeFaultException"/>.</summary>
public interface IVolumes
{
    /// <param name="spec">What the replica is to be.</param>
    /// <param name="policy">Whether it may, or must, be there already.</param>
    /// <param name="token">Gives up waiting; what was begun is finished.</param>
    /// <returns>The status, and whether the replica was created.</returns>
    Task<(VolumeStatus Status, bool Created)> PrepareAsync(ReplicaSpec spec, CreatePolicy policy, CancellationToken token);

    Task<VolumeStatus> StartAsync(VolumeRef volume, PeerSpec? peer, ResyncMode resync, CancellationToken token);

    Task<CheckpointReply> CheckpointAsync(VolumeRef volume, CancellationToken token);

    LatchedError? GetError(VolumeRef volume);

    Task<VolumeStatus> StopAsync(VolumeRef volume, bool failover, RecoveryPoint recoveryPoint, CancellationToken token);

    Task<VolumeStatus> AttachSecondaryAsync(VolumeRef volume, PeerSpec? peer, ResyncMode resync, bool wait, CancellationToken token);

    Task<VolumeStatus> DetachSecondaryAsync(VolumeRef volume, CancellationToken token);

    Task ReleaseAsync(VolumeRef volume, CancellationToken token);

    Task DeleteAsync(VolumeRef volume, CancellationToken token);

    /// <summary>Every replica, or the one of <paramref name="uid"/>; fresh, not the last posted one.</summary>
    IReadOnlyList<VolumeStatus> Status(string uid);

    /// <summary>Sizes of the replicas in the pool, full or not.</summary>
    long ProvisionedBytes(string pool);

    /// <summary>null where the volume is not open (any more).</summary>
    VolumeCounters? Counters(string uid);
}
