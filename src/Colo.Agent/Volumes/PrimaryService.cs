using Colo.Agent.Hosting;
using Colo.Blocks;
using Colo.Linux;
using Colo.Nbd.Client;
using Colo.Nbd.Server;
using Colo.Nbd.Wire;
using Colo.Replication;
using Google.Protobuf.WellKnownTypes;
using Api = Colo.AgentApi;

namespace Colo.Agent.Volumes;

/// <summary>
/// A volume's disk on its primary node: the replica over the local disk, and the sockets its guest uses. Owns all of them, and the
/// promoted secondary below it where there is one. The way of a write is NBD server, replica, disk and link: nothing of this class is
/// on it.
/// </summary>
public sealed class PrimaryService
{
    private readonly VolumeParts parts;
    private readonly ReplicaMemory memory;
    private readonly ReplicaNews news;
    private readonly ILogger log;
    private readonly PrimaryReplica replica;
    private readonly GuestExport guest;
    private readonly PrimaryBase below;
    private readonly ReplicaPaths paths;
    private readonly Term term;
    private readonly string uid;
    private readonly bool mayHaveInFlight;
    private readonly CancellationTokenSource closing = new();
    private readonly SecondaryLink link = new();
    private Task reattaching = Task.CompletedTask;
    private TimeSpan? promotedIn;

    private PrimaryService(
        VolumeParts parts,
        ReplicaMemory memory,
        ReplicaNews news,
        PrimaryReplica replica,
        GuestExport guest,
        PrimaryBase below,
        ReplicaPaths paths,
        bool mayHaveInFlight)
    {
        (this.parts, this.memory, this.news, this.replica, this.guest) = (parts, memory, news, replica, guest);
        (this.below, this.paths, this.mayHaveInFlight) = (below, paths, mayHaveInFlight);
        uid = memory.Current.Spec.Uid;
        term = new(memory.Current.Spec.Term);
        log = parts.Logs.CreateLogger<PrimaryService>();
    }

    public Api.LatchedError? Error => ApiMapping.ToApi(replica.FirstError);

    public BlockStatus FlushFailure => below.FlushFailure;

    public VolumeCounters Counters => new(this, guest.Export.Metrics, news.Errors, link.Latencies, news.Pauses);

    /// <summary>Opens the replica over <paramref name="below"/> and serves its guest; I/O is held until the arbiter has confirmed the
    /// term. Where it throws, <paramref name="below"/> stays the caller's.</summary>
    /// <param name="parts">Of the process.</param>
    /// <param name="memory">Of the replica; its spec says who this is.</param>
    /// <param name="paths">Of the replica.</param>
    /// <param name="below">The disk, or a promoted secondary.</param>
    /// <param name="lineage">Of the replica; stays the caller's.</param>
    /// <param name="mayHaveInFlight">The former process died: its last writes may be on one side only.</param>
    public static async Task<PrimaryService> OpenAsync(
        VolumeParts parts, ReplicaMemory memory, ReplicaPaths paths, PrimaryBase below, ReplicaLineage lineage, bool mayHaveInFlight)
    {
        ReplicaSpec spec = memory.Current.Spec;
        ReplicaNews news = new(parts.Logs.CreateLogger<PrimaryReplica>(), spec.Uid, spec.Term);
        TimeSpan peerTimeout = TimeSpan.FromMilliseconds(parts.Options.Limits.PeerTimeoutMilliseconds);
        PrimaryReplica replica = await PrimaryReplica.OpenAsync(
            new()
            {
                Uid = new(spec.Uid),
                Node = parts.Options.NodeName,
                Term = new(spec.Term),
                ForwardTimeout = peerTimeout,
                AttachTimeout = peerTimeout,
                ArbiterRetryLast = TimeSpan.FromMilliseconds(parts.Options.Limits.RetryMilliseconds),
                ResyncBytesPerSecond = spec.ResyncBytesPerSecond,
            },
            below.Device,
            new RecordArbiter(
                parts.Records.Of(spec), spec.Uid, parts.Logs.CreateLogger<RecordArbiter>(), () => memory.Current.HighestTerm),
            memory,
            parts.Time,
            news,
            lineage);
        try
        {
            GuestExport guest = await GuestExport.OpenAsync(
                parts.Listeners,
                paths.GuestSocket,
                new NbdExport(spec.Uid, replica) { Description = $"{spec.Namespace}/{spec.Name}" },
                spec.GuestTcp ? GuestExports.VolumeOf(spec) : null);
            PrimaryService service = new(parts, memory, news, replica, guest, below, paths, mayHaveInFlight);
            service.reattaching = service.ReattachAsync();
            return service;
        }
        catch
        {
            await replica.DisposeAsync();
            throw;
        }
    }

    /// <summary>Connects to the secondary and begins to forward; a copy, where one is needed, goes on behind.</summary>
    public async Task AttachAsync(PeerSpec peer, Api.ResyncMode asked, CancellationToken token)
    {
        try
        {
            NbdReplicationLink connected = await NbdReplicationLink.ConnectAsync(parts, peer, uid, term.Value, token);
            await AttachAsync(connected, asked, isRejoin: false, token);
        }
        catch (VolumeFaultException e)
        {
            link.Failed(e.Message);
            throw;
        }
        catch (NbdClientException e)
        {
            link.Failed(e.Message);
            if (e.Kind == NbdClientErrorKind.Tls)
            {
                parts.Peers.Refused(PeerNames.Outgoing, peer.ReplicationAddress, e.Message);
            }

            VolumeFaultKind kind = e.Kind is NbdClientErrorKind.Unreachable or NbdClientErrorKind.Timeout
                ? VolumeFaultKind.Unavailable
                : VolumeFaultKind.Precondition;
            throw new VolumeFaultException(kind, $"secondary {peer.Node} at {peer.ReplicationAddress}: {e.Message}", e);
        }
    }

    public Task WhenInSyncAsync(CancellationToken token) => Calling(async () =>
    {
        if (!await replica.ResyncCompletion.WaitAsync(token))
        {
            throw new VolumeFaultException(VolumeFaultKind.Failed, $"resync ended early: {replica.ResyncProgress?.Failure ?? replica.ServeReason}");
        }
    });

    public async Task<Api.CheckpointReply> CheckpointAsync(CancellationToken token)
    {
        try
        {
            return ApiMapping.ToApi(await replica.CheckpointAsync(term, token));
        }
        catch (ReplicationException e)
        {
            log.CheckpointFailed(uid, term.Value, e.Message);
            throw ApiMapping.ToFault(e);
        }
    }

    /// <summary>Failover: goes on alone; or commits a promotion's buffer again, and nothing else, where that failed. Otherwise a last checkpoint first.</summary>
    public Task StopAsync(bool failover, CancellationToken token) => Calling(async () =>
    {
        if (failover && await below.RetryAsync(memory, log))
        {
            // A secondary that was attached meanwhile stays so.
            return;
        }

        if (replica.State != ReplicationState.None)
        {
            await replica.StopAsync(term, failover, token);
        }
    });

    /// <summary>Commits what could not be committed; a promotion that is done stays so.</summary>
    public Task RepeatPromotionAsync() => Calling(async () => await below.RetryAsync(memory, log));

    public Task DetachAsync(CancellationToken token) => Calling(async () => await replica.DetachSecondaryAsync(term, token));

    public void PromotedIn(TimeSpan duration) => promotedIn = duration;

    public void Fill(Api.VolumeStatus status)
    {
        ServeState serving = replica.ServeState;
        status.State = below.State ?? StateOf(serving);
        status.SecondaryState = replica.Record is { } record ? ApiMapping.ToApi(record.SecondaryState) : Api.SecondaryState.Unspecified;
        status.Connected = link.IsUp && serving == ServeState.Replicating;
        status.RecordRevision = replica.Record?.Revision ?? 0;
        status.AttachFailure = status.Connected ? "" : link.Failure;
        status.Suspended = serving is ServeState.Confirming or ServeState.Waiting or ServeState.Suspended;
        status.SuspendedReason = status.Suspended ? replica.ServeReason : "";
        if (serving == ServeState.Fenced)
        {
            status.Fault = replica.ServeReason;
        }

        status.Epoch = replica.Epoch;
        status.CheckpointSequence = news.Checkpoints;
        ApiMapping.Fill(status, replica.LastCheckpoint);
        status.Resync = ApiMapping.ToApi(replica.ResyncProgress);
        if (status.SecondaryState == Api.SecondaryState.InSync)
        {
            status.BytesOutOfSync = 0;
        }
        else if (status.Resync is { } resync)
        {
            status.BytesOutOfSync = resync.TotalBytes - resync.DoneBytes;
        }
        else if (replica.BytesOutOfSync is { } missing)
        {
            status.BytesOutOfSync = missing;
        }

        status.Error = Error;
        status.Io = guest.Counters();
        status.Endpoints.GuestUnix = $"nbd+unix:///{uid}?socket={paths.GuestSocket}";
        status.Endpoints.GuestTcp = memory.Current.Spec.GuestTcp ? $"{parts.Listeners.GuestScheme}://{parts.Addresses.Guest}/{uid}" : "";
        status.FailoverDuration = promotedIn is { } duration ? Duration.FromTimeSpan(duration) : null;
    }

    /// <summary>Drains the guest, flushes both sides, closes. True where nothing was cut and everything is on disk.</summary>
    public async Task<bool> CloseAsync(TimeSpan drain)
    {
        await closing.CancelAsync();
        await reattaching;
        bool drained = await guest.CloseAsync(drain);
        bool settled = replica.ServeState is ServeState.Replicating or ServeState.Alone;
        bool flushed = settled && await replica.FlushAsync() == BlockStatus.Ok;
        await replica.DisposeAsync();
        await below.DisposeAsync();
        closing.Dispose();
        return drained && flushed;
    }

    private async Task AttachAsync(NbdReplicationLink connected, Api.ResyncMode asked, bool isRejoin, CancellationToken token)
    {
        ResyncMode mode = default;
        await Calling(async () =>
        {
            mode = await ModeForAsync(connected, asked, isRejoin, token);
            if (replica.State == ReplicationState.None)
            {
                await replica.StartAsync(term, connected, mode, token);
            }
            else
            {
                await replica.AttachSecondaryAsync(term, connected, mode, token);
            }
        });
        link.Attached(connected);
        memory.Update(known => known with { PeerGeneration = connected.PeerGeneration });
        log.Attached(uid, term.Value, connected.PeerNode, replica.AttachedMode ?? mode);
    }

    /// <summary>What the caller says, else what the lineages of both say.</summary>
    private async Task<ResyncMode> ModeForAsync(NbdReplicationLink connected, Api.ResyncMode asked, bool isRejoin, CancellationToken token)
    {
        try
        {
            bool hasLineage = asked == Api.ResyncMode.Unspecified
                && await connected.ReadLineageAsync(token) is { Record: var record } && (!record.Current.IsNone || record.History.Count > 0);
            ResyncMode mode = hasLineage ? isRejoin ? ResyncMode.Rejoin : ResyncMode.Auto : ModeWithoutLineage(connected, asked);
            return mode != ResyncMode.Full || !isRejoin
                ? mode
                : throw new ReplicationException(ReplicationFault.NeedsResync, "its copy has lost writes since; it needs a full copy");
        }
        catch (ReplicationException)
        {
            await connected.DisposeAsync();
            throw;
        }
    }

    /// <summary>
    /// Of a secondary that keeps none (new, or of an older version), nothing is copied only where somebody knows that both are equal: the
    /// caller, or the record (InSync) together with the generation, which tells that the secondary has not lost answered writes since.
    /// Where the former process died with writes in flight, they are made equal in the background.
    /// </summary>
    private ResyncMode ModeWithoutLineage(NbdReplicationLink connected, Api.ResyncMode asked)
    {
        bool isInSync = replica.Record is { SecondaryState: SecondaryState.InSync } record && record.Secondary == connected.PeerNode
            && connected.PeerGeneration.Length > 0 && connected.PeerGeneration == memory.Current.PeerGeneration;
        return asked switch
        {
            Api.ResyncMode.Full => ResyncMode.Full,
            Api.ResyncMode.None => ResyncMode.None,
            _ when !isInSync => ResyncMode.Full,
            _ => mayHaveInFlight ? ResyncMode.Recopy : ResyncMode.None,
        };
    }

    /// <summary>
    /// After a restart of this process: the record still says InSync, so writes wait (the replica's own patience ends that). The
    /// secondary is tried until it answers, or the replica has gone alone. Needing a full copy is not for this: that is the control
    /// plane's decision.
    /// </summary>
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
            using PeriodicTimer timer = new(TimeSpan.FromMilliseconds(parts.Options.Limits.RetryMilliseconds), parts.Time);
            while (replica.ServeState == ServeState.Waiting && !await TryReattachAsync(peer))
            {
                await timer.WaitForNextTickAsync(closing.Token);
            }
        }
        catch (OperationCanceledException)
        {
            // The process ends.
        }
        catch (ReplicationException)
        {
            // Fenced: the status and the log say so.
        }
    }

    /// <returns>Whether there is nothing left to try.</returns>
    private async Task<bool> TryReattachAsync(PeerSpec peer)
    {
        try
        {
            NbdReplicationLink connected = await NbdReplicationLink.ConnectAsync(parts, peer, uid, term.Value, closing.Token);
            await AttachAsync(connected, Api.ResyncMode.Unspecified, isRejoin: true, closing.Token);
            return true;
        }
        catch (VolumeFaultException e) when (e.InnerException is ReplicationException
        {
            Fault: ReplicationFault.NeedsResync or ReplicationFault.Unrelated
        })
        {
            link.Failed(e.Message);
            log.AttachFailed(uid, term.Value, peer.ReplicationAddress, e.Message);
            await replica.DetachSecondaryAsync(term, closing.Token);
            return true;
        }
        catch (Exception e) when (e is NbdClientException or VolumeFaultException)
        {
            link.Failed(e.Message);
            log.AttachFailed(uid, term.Value, peer.ReplicationAddress, e.Message);
            return false;
        }
    }

    private Api.ReplicaState StateOf(ServeState serving) => (serving, replica.State) switch
    {
        (ServeState.Fenced, _) => Api.ReplicaState.Fenced,
        (ServeState.Closed, _) => Api.ReplicaState.Faulted,
        (ServeState.Confirming, _) => Api.ReplicaState.WaitingArbiter,
        (_, ReplicationState.Done) => Api.ReplicaState.Done,
        (ServeState.Waiting or ServeState.Suspended, _) => Api.ReplicaState.Running,
        (ServeState.Replicating, _) => replica.Record?.SecondaryState == SecondaryState.Syncing
            ? Api.ReplicaState.Syncing
            : Api.ReplicaState.Running,
        (ServeState.Alone, ReplicationState.None) => Api.ReplicaState.Prepared,
        (ServeState.Alone, _) => Api.ReplicaState.Alone,
        _ => Api.ReplicaState.Unspecified,
    };

    private static async Task Calling(Func<Task> call)
    {
        try
        {
            await call();
        }
        catch (ReplicationException e)
        {
            throw ApiMapping.ToFault(e);
        }
    }
}
