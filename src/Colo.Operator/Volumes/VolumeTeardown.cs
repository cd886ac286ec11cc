using Colo.Api;
using Colo.Driver;
using Colo.Kubernetes;
using Colo.Operator.Cluster;
using Colo.Operator.Events;
using k8s;

namespace Colo.Operator.Volumes;

/// <summary>
/// The finalizers of a volume: put on before a node is asked for anything, taken off when its agent has deleted what it held, or when a
/// deletion has waited long enough for a node that is dead. Nobody else's is touched, and nobody else's holds ours.
/// </summary>
internal sealed class VolumeTeardown(IKubernetes api, VolumeNotices notices, TimeProvider time, ILogger<VolumeTeardown> log)
{
    private readonly FinalizerPatcher<ReplicatedVolume> patcher = new(api, ResourceVolumes.Type, time);

    /// <returns>False: the object is gone or being deleted; no side effect may follow.</returns>
    public async Task<bool> HoldAsync(VolumeSession session, IEnumerable<string> nodes, CancellationToken token)
    {
        foreach (string finalizer in nodes.Select(VolumeFinalizers.OfNode).Prepend(VolumeFinalizers.Operator))
        {
            if (session.Volume.Metadata.Finalizers?.Contains(finalizer) == true)
            {
                continue;
            }

            if (await patcher.AddAsync(session.Volume, finalizer, token) is not { } changed)
            {
                return false;
            }

            session.Wrote(changed);
        }

        return true;
    }

    /// <summary>After a round: nodes that hold nothing any more hold the volume no longer.</summary>
    public async Task LetGoAsync(VolumeSession session, RoundResult round, CancellationToken token)
    {
        string[] named = session.Volume.IsBeingDeleted || round.Seen.Record is not { } record ? [] : [record.Primary, record.Secondary];
        foreach (string node in round.Deleted.Except(named, StringComparer.Ordinal))
        {
            await RemoveAsync(session, VolumeFinalizers.OfNode(node), token);
        }

        if (!round.IsDeleted || !session.Volume.IsBeingDeleted)
        {
            return;
        }

        foreach (string node in round.Plan?.Deletion?.GivenUp ?? [])
        {
            TellWhatIsLeft(session.Volume, node, round);
            await RemoveAsync(session, VolumeFinalizers.OfNode(node), token);
        }

        await RemoveAsync(session, VolumeFinalizers.Operator, token);
    }

    private async Task RemoveAsync(VolumeSession session, string finalizer, CancellationToken token)
    {
        if (session.Volume.Metadata.Finalizers?.Contains(finalizer) == true)
        {
            session.Wrote(await patcher.RemoveAsync(session.Volume, finalizer, token));
        }
    }

    private void TellWhatIsLeft(Resource<ReplicatedVolume> volume, string node, RoundResult round)
    {
        TimeSpan silent = round.Seen.Sights.GetValueOrDefault(node)?.SilentFor ?? TimeSpan.Zero;
        string left = $"{node} has not answered for {silent.TotalSeconds:0} s; when it comes back it still holds the replica {volume.Uid} in its pool "
            + $"{volume.Value.Spec.StoragePool}, and nobody deletes it unasked: remove the directory {volume.Uid} of that pool, then restart the agent there";
        log.LeftBehind(volume.Key.ToString(), node, left);
        notices.Tell(volume, new(NoticeReason.ReplicaLeftBehind, left, IsWarning: true));
    }
}
