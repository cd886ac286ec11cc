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
    public async Task<bool> HoldAsync(VolumeSession session, Resource<ReplicatedVolume> volume, IEnumerable<string> nodes, CancellationToken token)
    {
        foreach (string finalizer in nodes.Select(VolumeFinalizers.OfNode).Prepend(VolumeFinalizers.Operator))
        {
            if (volume.Metadata.Finalizers?.Contains(finalizer) == true)
            {
                continue;
            }

            if (await patcher.AddAsync(volume, finalizer, token) is not { } changed)
            {
                return false;
            }

            volume = changed;
            session.Wrote(changed);
        }

        return true;
    }

    /// <summary>After a round of a deletion.</summary>
    public async Task LetGoAsync(VolumeSession session, Resource<ReplicatedVolume> volume, IReadOnlyCollection<string> holders, RoundResult round, CancellationToken token)
    {
        Resource<ReplicatedVolume>? now = volume;
        foreach (string node in round.Deleted)
        {
            now = await RemoveAsync(session, now, VolumeFinalizers.OfNode(node), token);
        }

        // The driver forgets the record once every node has deleted its replica or is dead for longer than the grace period.
        bool isOver = session.Record.IsForgotten || (round is { Plan: not null, Seen.Record: null } && holders.Count == 0);
        if (!isOver)
        {
            return;
        }

        foreach (string node in holders.Except(round.Deleted, StringComparer.Ordinal))
        {
            TellWhatIsLeft(volume, node, round);
            now = await RemoveAsync(session, now, VolumeFinalizers.OfNode(node), token);
        }

        await RemoveAsync(session, now, VolumeFinalizers.Operator, token);
    }

    private async Task<Resource<ReplicatedVolume>?> RemoveAsync(
        VolumeSession session, Resource<ReplicatedVolume>? volume, string finalizer, CancellationToken token)
    {
        if (volume?.Metadata.Finalizers?.Contains(finalizer) != true)
        {
            return volume;
        }

        Resource<ReplicatedVolume>? changed = await patcher.RemoveAsync(volume, finalizer, token);
        session.Wrote(changed);
        return changed;
    }

    private void TellWhatIsLeft(Resource<ReplicatedVolume> volume, string node, RoundResult round)
    {
        TimeSpan silent = round.Seen.Sights.GetValueOrDefault(node)?.SilentFor ?? TimeSpan.Zero;
        string left = $"{node} has not answered for {silent.TotalSeconds:0} s; when it comes back it still holds the replica {volume.Uid} in its pool "
            + $"{volume.Value.Spec.StoragePool}: delete it there (coloctl agent delete {volume.Uid})";
        log.LeftBehind(volume.Key.ToString(), node, left);
        notices.Tell(volume, new(NoticeReason.ReplicaLeftBehind, left, IsWarning: true));
    }
}
