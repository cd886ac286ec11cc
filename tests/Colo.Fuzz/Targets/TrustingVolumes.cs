using Colo.Agent.Options;
using Colo.Agent.Volumes;
using Colo.AgentApi;

namespace Colo.Fuzz.Targets;

/// <summary>The volumes of a node that exist on paper only: checks what the service hands to them, as the real ones trust it.</summary>
internal sealed class TrustingVolumes(AgentOptions options) : IVolumes
{
    private const int MaxTextLength = 253;
    private const int MaxAddressLength = 512;

    public long Trusted { get; private set; }

    public Task<(VolumeStatus Status, bool Created)> PrepareAsync(ReplicaSpec spec, CreatePolicy policy, CancellationToken token)
    {
        Trust(new VolumeRef { Uid = spec.Uid, Term = spec.Term });
        Require(Enum.IsDefined(policy) && Enum.IsDefined(spec.RecoveryPoint) && spec.Role is Role.Primary or Role.Secondary, "a word that does not exist");
        Require(Enum.IsDefined(spec.Buffer.Medium) && Enum.IsDefined(spec.Buffer.OnFull) && spec.Buffer.LimitBytes > 0, "a buffer that cannot be");
        Require(spec.SizeBytes >= 4096 && spec.SizeBytes % 4096 == 0 && spec.ResyncBytesPerSecond >= 0, $"size {spec.SizeBytes}, rate {spec.ResyncBytesPerSecond}");
        Require(new[] { spec.Name, spec.Namespace, spec.PlainExportName }.All(n => n.Length <= MaxTextLength), "a name that is too long");
        Require(!spec.ArbiterKubernetes && Path.IsPathFullyQualified(spec.ArbiterDirectory) && spec.ArbiterDirectory.Length <= 4096, $"a record in '{spec.ArbiterDirectory}'");
        string pool = options.Pools[spec.Pool] + Path.DirectorySeparatorChar;
        ReplicaPaths paths = new(options, spec.Pool, spec.Uid);
        Require(new[] { paths.Disk, paths.State }.All(p => Path.GetFullPath(p).StartsWith(pool, StringComparison.Ordinal)), $"{paths.Disk} leaves {pool}");
        Require(Path.GetDirectoryName(Path.GetFullPath(paths.GuestSocket)) == Path.GetFullPath(options.SocketDirectory), $"{paths.GuestSocket}");
        Check(spec.Peer);

        VolumeStatus status = new() { Uid = spec.Uid };
        spec.Fill(status);
        return Task.FromResult((status, true));
    }

    public Task<VolumeStatus> StartAsync(VolumeRef volume, PeerSpec? peer, ResyncMode resync, CancellationToken token)
    {
        Require(Enum.IsDefined(resync), $"resync {resync}");
        Check(peer);
        return Answer(volume);
    }

    public Task<CheckpointReply> CheckpointAsync(VolumeRef volume, CancellationToken token)
    {
        Trust(volume);
        return Task.FromResult(new CheckpointReply());
    }

    public LatchedError? GetError(VolumeRef volume)
    {
        Trust(volume);
        return null;
    }

    public Task<VolumeStatus> StopAsync(VolumeRef volume, bool failover, RecoveryPoint recoveryPoint, CancellationToken token)
    {
        Require(Enum.IsDefined(recoveryPoint), $"recovery point {recoveryPoint}");
        return Answer(volume);
    }

    public Task<VolumeStatus> AttachSecondaryAsync(VolumeRef volume, PeerSpec? peer, ResyncMode resync, bool wait, CancellationToken token) =>
        StartAsync(volume, peer, resync, token);

    public Task<VolumeStatus> DetachSecondaryAsync(VolumeRef volume, CancellationToken token) => Answer(volume);

    public Task ReleaseAsync(VolumeRef volume, CancellationToken token) => Answer(volume);

    public Task DeleteAsync(VolumeRef volume, CancellationToken token) => Answer(volume);

    public IReadOnlyList<VolumeStatus> Status(string uid)
    {
        if (uid.Length > 0)
        {
            Trust(new VolumeRef { Uid = uid, Term = 1 });
        }

        return [];
    }

    public long ProvisionedBytes(string pool) => 0;

    public VolumeCounters? Counters(string uid) => null;

    private Task<VolumeStatus> Answer(VolumeRef volume)
    {
        Trust(volume);
        return Task.FromResult(new VolumeStatus { Uid = volume.Uid });
    }

    private void Trust(VolumeRef volume)
    {
        Require(volume.Uid.Length is > 0 and <= 63 && volume.Uid.All(c => c is (>= 'a' and <= 'z') or (>= '0' and <= '9') or '-'), $"uid '{volume.Uid}'");
        Require(volume.Term >= 1, $"term {volume.Term}");
        Trusted++;
    }

    private static void Check(PeerSpec? peer) => Require(
        peer is null || new[] { peer.Node, peer.ReplicationAddress, peer.ExportName, peer.QmpAddress }.All(t => t.Length <= MaxAddressLength),
        "a peer whose names have no bound");

    private static void Require(bool holds, string what)
    {
        if (!holds)
        {
            // The service makes INTERNAL of it, which the target takes for what it is.
            throw new FuzzFailureException($"handed to the volumes: {what}");
        }
    }
}
