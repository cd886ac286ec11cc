using Colo.Agent.Volumes;
using Colo.AgentApi;
using Colo.Blocks;
using Colo.Nbd.Client;
using Colo.Nbd.Server;
using Colo.Replication;
using Colo.Simulation.Checks;
using Rep = Colo.Replication;

namespace Colo.Simulation.Agents;

/// <summary>As the agent's PrimaryService: the real replica, the guest's export, and the way to its secondary.</summary>
internal sealed class SimPrimary
{
    private readonly AgentParts parts;
    private readonly SimMemory memory;
    private readonly SimNews news;
    private readonly PrimaryReplica replica;
    private readonly SimGuestExport guest;
    private readonly SimBase below;
    private readonly Term term;
    private readonly string uid;
    private readonly bool mayHaveInFlight;
    private readonly CancellationTokenSource closing = new();
    private SimLink? link;
    private string linkFailure = "";
    private Task reattaching = Task.CompletedTask;

    private SimPrimary(
        AgentParts parts, SimMemory memory, SimNews news, PrimaryReplica replica, SimGuestExport guest, SimBase below, bool mayHaveInFlight)
    {
        (this.parts, this.memory, this.news, this.replica, this.guest, this.below, this.mayHaveInFlight) =
            (parts, memory, news, replica, guest, below, mayHaveInFlight);
        uid = memory.Current.Spec.Uid;
        term = new(memory.Current.Spec.Term);
        news.OnCheckpoint = report => parts.World.Checkpoints.Told(parts.Machine, report);
    }

    public Rep.LatchedError? FirstError => replica.FirstError;

    public PrimaryReplica Replica => replica;

    /// <summary>Why the last attach failed; empty: it did not.</summary>
    public string LinkFailure => linkFailure;

    public bool IsCommitting => below.State == ReplicaState.FailingOver;

    public static async Task<SimPrimary> OpenAsync(AgentParts parts, SimMemory memory, SimBase below, ReplicaLineage? lineage, bool mayHaveInFlight)
    {
        ReplicaSpec spec = memory.Current.Spec;
        SimNews news = parts.News("primary");
        PrimaryReplica replica = await PrimaryReplica.OpenAsync(
            new()
            {
                Uid = new(spec.Uid),
                Node = parts.Node,
                Term = new(spec.Term),
                ForwardTimeout = parts.Profile.PeerTimeout,
                AttachTimeout = parts.Profile.PeerTimeout,
                ArbiterRetryLast = AgentParts.Retry,
                ResyncBytesPerSecond = parts.Profile.ResyncBytesPerSecond,
                ResyncChunkBytes = parts.Profile.ResyncChunkBytes,
                ResyncSettleBytes = parts.Profile.ResyncSettleBytes,
            },
            below.Device,
            parts.Arbiter,
            parts.Mutant.Wrap(memory, parts),
            parts.Process.Time,
            news,
            lineage);
        SimGuestExport guest = new(parts, new NbdExport(spec.Uid, parts.GuestDevice(replica)));
        SimPrimary service = new(parts, memory, news, replica, guest, below, mayHaveInFlight);
        service.reattaching = service.ReattachAsync();
        return service;
    }

    public async Task AttachAsync(PeerSpec peer, AgentApi.ResyncMode asked, CancellationToken token)
    {
        try
        {
            SimLink connected = await SimLink.ConnectAsync(parts, peer, uid, term.Value, token);
            await AttachAsync(connected, peer, asked, isRejoin: false, token);
        }
        catch (VolumeFaultException e)
        {
            linkFailure = e.Message;
            throw;
        }
        catch (NbdClientException e)
        {
            linkFailure = e.Message;
            throw new VolumeFaultException(
                e.Kind is NbdClientErrorKind.Unreachable or NbdClientErrorKind.Timeout ? VolumeFaultKind.Unavailable : VolumeFaultKind.Precondition,
                $"secondary {peer.Node}: {e.Message}",
                e);
        }
    }

    public async Task<CheckpointReply> CheckpointAsync(CancellationToken token)
    {
        try
        {
            parts.World.Checkpoints.Asked(parts.Machine);
            return SimMapping.ToApi(await replica.CheckpointAsync(term, token));
        }
        catch (ReplicationException e)
        {
            parts.World.Checkpoints.Failed();
            throw SimMapping.ToFault(e);
        }
    }

    public Task StopAsync(bool failover, CancellationToken token) => SimMapping.Calling(async () =>
    {
        if (failover && await below.RetryAsync(memory))
        {
            return;
        }

        if (replica.State != Rep.ReplicationState.None)
        {
            await replica.StopAsync(term, failover, token);
        }
    });

    public Task RepeatPromotionAsync() => SimMapping.Calling(async () => await below.RetryAsync(memory));

    public Task DetachAsync(CancellationToken token) => SimMapping.Calling(async () => await replica.DetachSecondaryAsync(term, token));

    public void Fill(VolumeStatus status)
    {
        ServeState serving = replica.ServeState;
        status.State = below.State ?? StateOf(serving);
        status.SecondaryState = replica.Record is { } record ? SimMapping.ToApi(record.SecondaryState) : AgentApi.SecondaryState.Unspecified;
        status.Connected = link is { Lost.IsCompleted: false } && serving == ServeState.Replicating;
        status.RecordRevision = replica.Record?.Revision ?? 0;
        status.AttachFailure = status.Connected ? "" : linkFailure;
        status.Suspended = serving is ServeState.Confirming or ServeState.Waiting or ServeState.Suspended;
        if (serving == ServeState.Fenced)
        {
            status.Fault = replica.ServeReason;
        }

        status.Epoch = replica.Epoch;
        status.CheckpointSequence = news.Checkpoints;
        status.Resync = SimMapping.ToApi(replica.ResyncProgress);
        status.Error = SimMapping.ToApi(replica.FirstError);
        status.Endpoints.GuestUnix = $"nbd+unix:///{uid}?socket={parts.Node}";
    }

    public async Task<bool> CloseAsync(TimeSpan drain)
    {
        await closing.CancelAsync();
        await reattaching;
        bool drained = await guest.CloseAsync(drain);
        bool settled = replica.ServeState is ServeState.Replicating or ServeState.Alone;
        bool flushed = settled && await replica.FlushAsync() == BlockStatus.Ok;
        await replica.DisposeAsync();
        await below.DisposeAsync();
        return drained && flushed;
    }

    private async Task AttachAsync(SimLink connected, PeerSpec peer, AgentApi.ResyncMode asked, bool isRejoin, CancellationToken token)
    {
        WatchedLink watched = new(connected.CarriesCheckpoints ? connected : new SimCallLink(connected, () => CheckpointByCallAsync(peer)), parts);
        IReplicationLink handed = parts.Mutant.Wrap(watched, parts);
        await SimMapping.Calling(async () =>
        {
            Rep.ResyncMode mode = watched.Asked = await ModeForAsync(connected, asked, isRejoin, token);
            if (replica.State == Rep.ReplicationState.None)
            {
                await replica.StartAsync(term, handed, mode, token);
            }
            else
            {
                await replica.AttachSecondaryAsync(term, handed, mode, token);
            }
        });
        (link, linkFailure) = (connected, "");
        parts.Coverage.Count($"event:attach {replica.AttachedMode}");
        memory.Update(known => known with { PeerGeneration = connected.PeerGeneration });
    }

    /// <summary>What a manager does for a pair that cannot carry checkpoints on its connection.</summary>
    private async ValueTask<BlockStatus> CheckpointByCallAsync(PeerSpec peer)
    {
        try
        {
            await parts.World.CallsFrom(parts.Process, parts.Node).To(peer.Node)
                .CheckpointAsync(new CheckpointRequest { Volume = new VolumeRef { Uid = uid, Term = term.Value } });
            return BlockStatus.Ok;
        }
        catch (Grpc.Core.RpcException)
        {
            return BlockStatus.IoError;
        }
    }

    private async Task<Rep.ResyncMode> ModeForAsync(SimLink connected, AgentApi.ResyncMode asked, bool isRejoin, CancellationToken token)
    {
        try
        {
            bool hasLineage = asked == AgentApi.ResyncMode.Unspecified
                && await connected.ReadLineageAsync(token) is { Record: var record } && (!record.Current.IsNone || record.History.Count > 0);
            Rep.ResyncMode mode = hasLineage ? isRejoin ? Rep.ResyncMode.Rejoin : Rep.ResyncMode.Auto : ModeWithoutLineage(connected, asked);
            return mode != Rep.ResyncMode.Full || !isRejoin
                ? mode
                : throw new ReplicationException(ReplicationFault.NeedsResync, "its copy has lost writes since; it needs a full copy");
        }
        catch (ReplicationException)
        {
            await connected.DisposeAsync();
            throw;
        }
    }

    private Rep.ResyncMode ModeWithoutLineage(SimLink connected, AgentApi.ResyncMode asked)
    {
        bool isInSync = replica.Record is { SecondaryState: Rep.SecondaryState.InSync } record && record.Secondary == connected.PeerNode
            && connected.PeerGeneration.Length > 0 && connected.PeerGeneration == memory.Current.PeerGeneration;
        return asked switch
        {
            AgentApi.ResyncMode.Full => Rep.ResyncMode.Full,
            AgentApi.ResyncMode.None => Rep.ResyncMode.None,
            _ when !isInSync => Rep.ResyncMode.Full,
            _ => mayHaveInFlight ? Rep.ResyncMode.Recopy : Rep.ResyncMode.None,
        };
    }

    private async Task ReattachAsync()
    {
        StoredReplica known = memory.Current;
        if (!known.Started || known.Stopped || known.Spec.Peer is not { } peer)
        {
            return;
        }

        try
        {
            await replica.Confirmed.WaitAsync(closing.Token);
            while (replica.ServeState == ServeState.Waiting && !await TryReattachAsync(peer))
            {
                await Task.Delay(AgentParts.Retry, parts.Process.Time, closing.Token);
            }
        }
        catch (Exception e) when (e is OperationCanceledException or ReplicationException)
        {
            // Closed, or fenced.
        }
    }

    private async Task<bool> TryReattachAsync(PeerSpec peer)
    {
        try
        {
            SimLink connected = await SimLink.ConnectAsync(parts, peer, uid, term.Value, closing.Token);
            await AttachAsync(connected, peer, AgentApi.ResyncMode.Unspecified, isRejoin: true, closing.Token);
            return true;
        }
        catch (VolumeFaultException e) when (e.InnerException is ReplicationException { Fault: ReplicationFault.NeedsResync or ReplicationFault.Unrelated })
        {
            linkFailure = e.Message;
            await replica.DetachSecondaryAsync(term, closing.Token);
            return true;
        }
        catch (Exception e) when (e is NbdClientException or VolumeFaultException)
        {
            linkFailure = e.Message;
            return false;
        }
    }

    private ReplicaState StateOf(ServeState serving) => (serving, replica.State) switch
    {
        (ServeState.Fenced, _) => ReplicaState.Fenced,
        (ServeState.Closed, _) => ReplicaState.Faulted,
        (ServeState.Confirming, _) => ReplicaState.WaitingArbiter,
        (_, Rep.ReplicationState.Done) => ReplicaState.Done,
        (ServeState.Waiting or ServeState.Suspended, _) => ReplicaState.Running,
        (ServeState.Replicating, _) => replica.Record?.SecondaryState == Rep.SecondaryState.Syncing ? ReplicaState.Syncing : ReplicaState.Running,
        (ServeState.Alone, Rep.ReplicationState.None) => ReplicaState.Prepared,
        (ServeState.Alone, _) => ReplicaState.Alone,
        _ => ReplicaState.Unspecified,
    };
}
