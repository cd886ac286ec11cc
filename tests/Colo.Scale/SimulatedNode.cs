using System.Collections.Concurrent;
using System.Threading.Channels;
using Colo.AgentApi;
using Grpc.Core;

namespace Colo.Scale;

/// <summary>
/// What an agent is to a control plane: the calls, their order, the record's terms, heartbeats. It keeps no data; the record is read and
/// written on the real API server, as real agents do. Cutting its power ends every call and every answer at once.
/// </summary>
internal sealed class SimulatedNode(string name, string address, SimulatedFleet fleet)
{
    private const long PoolBytes = 1L << 44;
    private readonly Lock guard = new();
    private readonly Dictionary<string, SimulatedReplica> replicas = new(StringComparer.Ordinal);
    private readonly ConcurrentDictionary<Channel<WatchEvent>, bool> watchers = new();
    private readonly CancellationTokenSource power = new();
    private readonly string instance = Guid.NewGuid().ToString("N");

    public string Name => name;

    public string Address => address;

    public string Instance => instance;

    public CancellationToken PowerLost => power.Token;

    public bool IsDead => power.IsCancellationRequested;

    /// <summary>UIDs of the volumes that this node serves.</summary>
    public IReadOnlyList<string> Primaries
    {
        get
        {
            lock (guard)
            {
                return [.. replicas.Values.Where(r => r.Role == Role.Primary && r.State != ReplicaState.Fenced).Select(r => r.Uid)];
            }
        }
    }

    public void CutPower()
    {
        power.Cancel();
        fleet.PeerDied(name);
    }

    public NodeStatus Describe() => new()
    {
        Node = name,
        Version = "simulated",
        ReplicationAddress = address,
        Instance = instance,
        ApiLevel = AgentApiLevel.Current,
        Pools = { new PoolStatus { Name = "default", Directory = "/", Healthy = true, FreeBytes = PoolBytes, TotalBytes = PoolBytes } },
    };

    public StatusReply Status(string uid)
    {
        lock (guard)
        {
            return new StatusReply
            {
                Node = Describe(),
                Volumes = { replicas.Values.Where(r => uid.Length == 0 || r.Uid == uid).Select(r => r.Status(name, address)) },
            };
        }
    }

    public PrepareReply Prepare(PrepareRequest request)
    {
        bool created = false;
        lock (guard)
        {
            if (replicas.TryGetValue(request.Volume.Uid, out SimulatedReplica? present))
            {
                RefuseOlder(present, request.Volume.Term);
                present.PrepareAgain(request);
            }
            else if (request.Create == CreatePolicy.MustExist)
            {
                throw new RpcException(new Status(StatusCode.NotFound, $"{name} has no replica of {request.Volume.Uid}"));
            }
            else
            {
                created = true;
                replicas.Add(request.Volume.Uid, new SimulatedReplica(request));
            }
        }

        return new PrepareReply { Status = Announce(request.Volume.Uid), Created = created };
    }

    /// <summary>A primary's copy takes no time here; that the secondary is in sync is recorded first, as a real primary does.</summary>
    public async Task<VolumeStatus> StartAsync(VolumeRef volume, string peer)
    {
        SimulatedReplica replica = Find(volume);
        if (replica.Role == Role.Primary)
        {
            await fleet.RecordAsync(replica.Namespace, replica.Name, replica.Uid, replica.Term, SecondaryState.InSync);
        }

        lock (guard)
        {
            (replica.State, replica.Connected) = (ReplicaState.Running, true);
            if (replica.Role == Role.Primary)
            {
                (replica.SecondaryState, replica.PeerNode) = (SecondaryState.InSync, peer);
            }
        }

        return Announce(volume.Uid);
    }

    public CheckpointReply Checkpoint(VolumeRef volume)
    {
        SimulatedReplica replica = Find(volume);
        lock (guard)
        {
            replica.Checkpoints++;
        }

        Announce(volume.Uid);
        return new CheckpointReply { Sequence = replica.Checkpoints };
    }

    public VolumeStatus Promote(VolumeRef volume)
    {
        lock (guard)
        {
            if (!replicas.TryGetValue(volume.Uid, out SimulatedReplica? replica))
            {
                throw new RpcException(new Status(StatusCode.NotFound, $"{name} has no replica of {volume.Uid}"));
            }

            RefuseOlder(replica, volume.Term);
            if (replica.Role != Role.Primary)
            {
                replica.Promote(volume.Term);
            }
        }

        fleet.Served(volume.Uid, name);
        return Announce(volume.Uid);
    }

    public void Forget(string uid)
    {
        lock (guard)
        {
            replicas.Remove(uid);
        }

        Publish(new WatchEvent { RemovedUid = uid });
    }

    /// <summary>The other end of some connections is gone: a primary records Stale before it goes on alone.</summary>
    public async Task LosePeerAsync(string peer)
    {
        List<SimulatedReplica> orphaned;
        lock (guard)
        {
            orphaned = [.. replicas.Values.Where(r => r.PeerNode == peer && r.Connected)];
            orphaned.ForEach(r => r.Connected = false);
        }

        foreach (SimulatedReplica replica in orphaned)
        {
            if (replica.Role == Role.Primary && await fleet.RecordAsync(replica.Namespace, replica.Name, replica.Uid, replica.Term, SecondaryState.Stale))
            {
                lock (guard)
                {
                    (replica.State, replica.SecondaryState) = (ReplicaState.Alone, SecondaryState.Stale);
                }
            }

            Announce(replica.Uid);
        }
    }

    public async Task WatchAsync(IServerStreamWriter<WatchEvent> stream, CancellationToken token)
    {
        Channel<WatchEvent> events = Channel.CreateBounded<WatchEvent>(new BoundedChannelOptions(4096) { FullMode = BoundedChannelFullMode.DropOldest });
        watchers[events] = true;
        try
        {
            await stream.WriteAsync(new WatchEvent { Node = Describe() }, token);
            foreach (VolumeStatus status in Status("").Volumes)
            {
                await stream.WriteAsync(new WatchEvent { Status = status }, token);
            }

            await foreach (WatchEvent one in events.Reader.ReadAllAsync(token))
            {
                await stream.WriteAsync(one, token);
            }
        }
        finally
        {
            watchers.TryRemove(events, out _);
        }
    }

    public void Beat() => Publish(new WatchEvent { Node = Describe() });

    private static void RefuseOlder(SimulatedReplica replica, long term)
    {
        if (term < replica.Term)
        {
            throw new RpcException(new Status(StatusCode.FailedPrecondition, $"term {term} of {replica.Uid}: {replica.Term} was seen"));
        }
    }

    private SimulatedReplica Find(VolumeRef volume)
    {
        lock (guard)
        {
            SimulatedReplica found = replicas.GetValueOrDefault(volume.Uid)
                ?? throw new RpcException(new Status(StatusCode.NotFound, $"{name} has no replica of {volume.Uid}"));
            RefuseOlder(found, volume.Term);
            return found;
        }
    }

    private VolumeStatus Announce(string uid)
    {
        VolumeStatus status = Status(uid).Volumes.Single();
        Publish(new WatchEvent { Status = status });
        return status;
    }

    private void Publish(WatchEvent one)
    {
        foreach (Channel<WatchEvent> watcher in watchers.Keys)
        {
            watcher.Writer.TryWrite(one);
        }
    }
}
