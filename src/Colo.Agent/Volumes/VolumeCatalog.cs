using System.Collections.Concurrent;
using Colo.Agent.Options;
using Colo.Agent.Service;
using Colo.AgentApi;
using LatchedError = Colo.AgentApi.LatchedError;
using RecoveryPoint = Colo.AgentApi.RecoveryPoint;
using ResyncMode = Colo.AgentApi.ResyncMode;

namespace Colo.Agent.Volumes;

/// <summary>
/// Every replica of this node by UID: adopts what the pools hold at start, routes calls, closes everything at the end. A replica that
/// cannot be opened is kept as a faulted one: it answers its status and nothing else, and hurts no other.
/// </summary>
public sealed class VolumeCatalog(
    AgentOptions options,
    VolumeParts parts,
    NbdListeners listeners,
    StatusBoard board,
    BoundAddresses addresses,
    ILogger<VolumeCatalog> log) : IVolumes, IHostedService
{
    private readonly ConcurrentDictionary<string, VolumeHost> hosts = new(StringComparer.Ordinal);

    /// <summary>True once every replica found at start was opened, or found faulted.</summary>
    public bool IsAdopted { get; private set; }

    public async Task StartAsync(CancellationToken cancellationToken)
    {
        await listeners.StartAsync(cancellationToken);
        List<Task> adoptions = [];
        foreach ((string pool, string uid) in Found())
        {
            if (hosts.TryGetValue(uid, out VolumeHost? twice))
            {
                twice.Fault($"found in pool {pool} as well: one of the two must be moved away");
                continue;
            }

            VolumeHost host = new(parts, uid, pool);
            hosts[uid] = host;
            adoptions.Add(AdoptAsync(host));
        }

        await Task.WhenAll(adoptions);
        IsAdopted = true;
        log.Ready(options.NodeName, hosts.Count, addresses.Replication);
    }

    public async Task StopAsync(CancellationToken cancellationToken)
    {
        log.ShuttingDown(options.NodeName, hosts.Count);
        TimeSpan drain = TimeSpan.FromSeconds(options.Limits.ShutdownSeconds);

        // Guests first, so that what they were answered is on both sides before the links and targets go away.
        await Task.WhenAll(hosts.Values.Select(h => h.CloseAsync("shutdown", drain)));
        await listeners.StopAsync(drain);
        log.ShutDown(options.NodeName);
    }

    public async Task<(VolumeStatus Status, bool Created)> PrepareAsync(ReplicaSpec spec, CreatePolicy policy, CancellationToken token)
    {
        if (!hosts.TryGetValue(spec.Uid, out VolumeHost? host))
        {
            // Also where it must exist: one that was released lies in its pool, and only its host can tell.
            if (hosts.Count >= options.Limits.MaxVolumes)
            {
                throw new VolumeFaultException(
                    VolumeFaultKind.Exhausted, $"this node holds {hosts.Count} volumes, its limit (Limits:MaxVolumes)");
            }

            host = hosts.GetOrAdd(spec.Uid, uid => new VolumeHost(parts, uid, spec.Pool));
        }

        try
        {
            bool created = await host.PrepareAsync(spec, policy, token);
            return (Post(host), created);
        }
        finally
        {
            ForgetIfEmpty(host);
        }
    }

    public async Task<VolumeStatus> StartAsync(VolumeRef volume, PeerSpec? peer, ResyncMode resync, CancellationToken token)
    {
        VolumeHost host = Find(volume.Uid);
        await host.StartAsync(volume.Term, peer, resync, token);
        return Post(host);
    }

    public async Task<CheckpointReply> CheckpointAsync(VolumeRef volume, CancellationToken token)
    {
        VolumeHost host = Find(volume.Uid);
        CheckpointReply reply = await host.CheckpointAsync(volume.Term, token);
        Post(host);
        return reply;
    }

    public LatchedError? GetError(VolumeRef volume) => Find(volume.Uid).GetError(volume.Term);

    public async Task<VolumeStatus> StopAsync(VolumeRef volume, bool failover, RecoveryPoint recoveryPoint, CancellationToken token)
    {
        VolumeHost host = Find(volume.Uid);
        await host.StopAsync(volume.Term, failover, recoveryPoint, token);
        return Post(host);
    }

    public async Task<VolumeStatus> AttachSecondaryAsync(
        VolumeRef volume, PeerSpec? peer, ResyncMode resync, bool wait, CancellationToken token)
    {
        VolumeHost host = Find(volume.Uid);
        await host.AttachAsync(volume.Term, peer, resync, wait, token);
        return Post(host);
    }

    public async Task<VolumeStatus> DetachSecondaryAsync(VolumeRef volume, CancellationToken token)
    {
        VolumeHost host = Find(volume.Uid);
        await host.DetachAsync(volume.Term, token);
        return Post(host);
    }

    public async Task ReleaseAsync(VolumeRef volume, CancellationToken token)
    {
        VolumeHost host = Find(volume.Uid);
        await host.ReleaseAsync(volume.Term, token);
        Forget(host);
    }

    public async Task DeleteAsync(VolumeRef volume, CancellationToken token)
    {
        if (hosts.TryGetValue(volume.Uid, out VolumeHost? host))
        {
            await host.DeleteAsync(volume.Term, token);
            Forget(host);
        }
    }

    public IReadOnlyList<VolumeStatus> Status(string uid) =>
        uid.Length > 0 ? [Find(uid).Status()]
        : [.. hosts.Values.Where(h => h.HasReplica).Select(h => h.Status()).OrderBy(s => s.Name, StringComparer.Ordinal)];

    public long ProvisionedBytes(string pool) => hosts.Values.Where(h => h.Pool == pool).Sum(h => h.SizeBytes);

    public VolumeCounters? Counters(string uid) => hosts.TryGetValue(uid, out VolumeHost? host) ? host.Counters() : null;

    private IEnumerable<(string Pool, string Uid)> Found()
    {
        foreach ((string pool, string directory) in options.Pools)
        {
            foreach (string replica in Directory.Exists(directory) ? Directory.EnumerateDirectories(directory) : [])
            {
                if (ReplicaPaths.IsReplica(replica))
                {
                    yield return (pool, Path.GetFileName(replica));
                }
            }
        }
    }

    private async Task AdoptAsync(VolumeHost host)
    {
        await host.AdoptAsync();
        Post(host);
        ForgetIfEmpty(host);
    }

    private VolumeHost Find(string uid) =>
        hosts.TryGetValue(uid, out VolumeHost? host) && host.HasReplica ? host : throw NotFound(uid);

    private VolumeFaultException NotFound(string uid) =>
        new(VolumeFaultKind.NotFound, $"node {options.NodeName} has no replica of volume {uid}");

    private VolumeStatus Post(VolumeHost host)
    {
        VolumeStatus status = host.Status();
        board.Post(status);
        return status;
    }

    private void Forget(VolumeHost host)
    {
        hosts.TryRemove(KeyValuePair.Create(host.Uid, host));
        board.Remove(host.Uid);
    }

    /// <summary>A Prepare that was refused leaves nothing behind; a released replica is no replica of this agent's until Prepare.</summary>
    private void ForgetIfEmpty(VolumeHost host)
    {
        if (!host.HasReplica)
        {
            Forget(host);
        }
    }
}
