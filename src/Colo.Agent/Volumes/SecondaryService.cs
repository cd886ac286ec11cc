using Colo.Blocks;
using Colo.Linux;
using Colo.Nbd.Server;
using Colo.Replication;
using Api = Colo.AgentApi;

namespace Colo.Agent.Volumes;

/// <summary>
/// A volume's copy on its secondary node: the replica over disk and buffers, the export that the primary writes to, and the socket on
/// which a secondary VM sees the last checkpoint. Owns all of them until it is closed or promoted.
/// </summary>
public sealed class SecondaryService
{
    private readonly VolumeParts parts;
    private readonly ReplicaMemory memory;
    private readonly ReplicaPaths paths;
    private readonly ReplicaNews news;
    private readonly ILogger log;
    private readonly RawFile disk;
    private readonly SecondaryReplica replica;
    private readonly ReplicaLineage lineage;
    private readonly GuestExport vmView;
    private readonly Term term;
    private readonly string uid;
    private readonly Action<SecondaryService> becameStale;
    private readonly Func<bool> hasLostFlush;
    private readonly LeftBehind leftBehind;
    private readonly CancellationTokenSource closing = new();
    private SecondaryExports? exports;
    private int primaries;
    private volatile bool hadPrimary;
    private Task watching = Task.CompletedTask;

    private SecondaryService(
        VolumeParts parts,
        ReplicaMemory memory,
        ReplicaPaths paths,
        ReplicaNews news,
        RawFile disk,
        SecondaryReplica replica,
        ReplicaLineage lineage,
        GuestExport vmView,
        Action<SecondaryService> becameStale,
        Func<bool> hasLostFlush)
    {
        (this.parts, this.memory, this.paths, this.news) = (parts, memory, paths, news);
        (this.disk, this.replica, this.lineage, this.vmView) = (disk, replica, lineage, vmView);
        (this.becameStale, this.hasLostFlush) = (becameStale, hasLostFlush);
        leftBehind = new(parts, memory);
        uid = memory.Current.Spec.Uid;
        term = new(memory.Current.Spec.Term);
        log = parts.Logs.CreateLogger<SecondaryService>();
    }

    public Api.LatchedError? Error => ApiMapping.ToApi(replica.FirstError);

    public BlockStatus FlushFailure => disk.FlushFailure;

    public VolumeCounters Counters => new(this, null, news.Errors, [], news.Pauses);

    /// <summary>Holds, or may hold, a buffer that a change of role would lose.</summary>
    public bool IsReplicating => replica.State == ReplicationState.Running;

    private bool IsConnected => Volatile.Read(ref primaries) > 0;

    /// <summary>Opens the copy, with the buffers that a former process left; takes a primary at once where replication ran before.</summary>
    /// <param name="parts">Of the process.</param>
    /// <param name="memory">Of the replica; its spec says who this is.</param>
    /// <param name="paths">Of the replica.</param>
    /// <param name="lineage">Of the replica; stays the caller's.</param>
    /// <param name="becameStale">Told once when the copy has lost its primary and misses writes: it is to begin anew before it takes a
    /// primary again. Must not block or call back.</param>
    /// <param name="hasLostFlush">A flush of one of its files failed: none will succeed until they are opened anew.</param>
    public static async Task<SecondaryService> OpenAsync(
        VolumeParts parts,
        ReplicaMemory memory,
        ReplicaPaths paths,
        ReplicaLineage lineage,
        Action<SecondaryService> becameStale,
        Func<bool> hasLostFlush)
    {
        ReplicaSpec spec = memory.Current.Spec;
        RawFile disk = paths.OpenDisk(spec);
        ReplicaNews news = new(parts.Logs.CreateLogger<SecondaryReplica>(), spec.Uid, spec.Term);
        SecondaryReplica? replica = null;
        try
        {
            replica = await OpenReplicaAsync(parts, memory, paths, lineage, disk, news);
            GuestExport vmView = await GuestExport.OpenAsync(
                parts.Listeners, paths.VmViewSocket, new NbdExport(spec.Uid, replica.VmView) { Description = "the secondary VM's view" }, onTcp: null);
            SecondaryService service = new(parts, memory, paths, news, disk, replica, lineage, vmView, becameStale, hasLostFlush);
            if (replica.State == ReplicationState.Running)
            {
                service.hadPrimary = true;
                service.Serve();
                service.LookForStale();
            }
            else
            {
                parts.Replication.Announce(spec.Uid, spec.Term);
            }

            return service;
        }
        catch
        {
            await (replica?.DisposeAsync() ?? ValueTask.CompletedTask);
            await disk.DisposeAsync();
            throw;
        }
    }

    /// <summary>True where Start cannot go on with what is there: a copy that ran before, lost its primary and is not in sync, or one whose
    /// disk lost a flush.</summary>
    public async Task<bool> MustBeginAnewAsync(Api.ResyncMode asked) =>
        asked != Api.ResyncMode.None && (replica.State is ReplicationState.Done || hasLostFlush() || await IsStaleAsync(closing.Token));

    public async Task StartAsync(Api.ResyncMode asked)
    {
        if (replica.State != ReplicationState.None)
        {
            return;
        }

        await Calling(async () => await replica.StartAsync(term, filling: asked != Api.ResyncMode.None));
        Serve();
    }

    /// <summary>For a primary that cannot carry checkpoints on its connection: it was drained before this call.</summary>
    public async Task<Api.CheckpointReply> CheckpointAsync()
    {
        try
        {
            return ApiMapping.ToApi(await replica.CheckpointAsync(term));
        }
        catch (ReplicationException e)
        {
            log.CheckpointFailed(uid, term.Value, e.Message);
            throw ApiMapping.ToFault(e);
        }
    }

    /// <summary>A last checkpoint, then no primary any more.</summary>
    public async Task StopAsync()
    {
        await StopServingAsync();
        await Calling(async () => await replica.StopAsync(term, failover: false, RecoveryPoint.LatestWrite));
    }

    /// <summary>Cuts the former primary off, then makes this copy what a primary serves from. The service is used up afterwards.</summary>
    /// <param name="newTerm">As the arbiter's record shows it.</param>
    /// <param name="recoveryPoint">What is served.</param>
    public async Task<PrimaryBase> PromoteAsync(Term newTerm, RecoveryPoint recoveryPoint)
    {
        await closing.CancelAsync();
        await watching;
        await StopServingAsync();
        await Calling(async () => await replica.StopAsync(newTerm, failover: true, recoveryPoint));
        return PrimaryBase.Promoted(disk, replica, memory, log, async () => await vmView.CloseAsync(TimeSpan.Zero));
    }

    /// <summary>After a restart in the middle of a promotion: goes on with it. Only what is surely there is served.</summary>
    public static async Task<PrimaryBase> ResumePromotionAsync(
        VolumeParts parts, ReplicaMemory memory, ReplicaPaths paths, ReplicaLineage lineage)
    {
        ReplicaSpec spec = memory.Current.Spec;
        EpochStore epochs = paths.Epochs(spec);
        EpochPhase phase = epochs.Read().Phase;
        bool latest = spec.RecoveryPoint == Api.RecoveryPoint.LatestWrite;
        RawFile disk = paths.OpenDisk(spec);
        try
        {
            switch (phase)
            {
                case EpochPhase.Done:
                case EpochPhase.None or EpochPhase.Replicating when latest:
                    epochs.Clear();
                    memory.Update(known => known with { Promoting = false });
                    return PrimaryBase.Disk(disk);
                case EpochPhase.Filling:
                    throw new VolumeFaultException(VolumeFaultKind.Damaged, "promoted while it was being filled: its disk is a mixture");
                case EpochPhase.None:
                    throw new VolumeFaultException(
                        VolumeFaultKind.Damaged, "the buffer of an unfinished failover was lost with the machine: the disk is a mixture");
                default:
                    return await ResumeAsync(parts, memory, paths, lineage, disk);
            }
        }
        catch
        {
            await disk.DisposeAsync();
            throw;
        }
    }

    public void Fill(Api.VolumeStatus status)
    {
        status.State = replica.State switch
        {
            ReplicationState.None => Api.ReplicaState.Prepared,
            ReplicationState.Running => replica.IsFilling ? Api.ReplicaState.Syncing : Api.ReplicaState.Running,
            ReplicationState.Failover => Api.ReplicaState.FailingOver,
            ReplicationState.FailoverFailed => Api.ReplicaState.FailoverFailed,
            _ => Api.ReplicaState.Done,
        };
        status.Connected = IsConnected;
        status.HoldsOlder = replica.HoldsOlder;
        status.Epoch = replica.Epoch;
        status.CheckpointSequence = news.Checkpoints;
        ApiMapping.Fill(status, replica.LastCheckpoint);
        status.BufferedBytes = replica.BufferedBytes;
        status.CheckpointWanted = news.IsCheckpointWanted;
        status.Error = Error;
        status.Endpoints.VmView = $"nbd+unix:///{uid}?socket={paths.VmViewSocket}";
        status.Endpoints.Replication = parts.Addresses.Replication;
        status.Endpoints.ReplicationExport = exports?.Target.Name ?? "";
        status.Io = vmView.Counters();
    }

    /// <summary>True where the disk was flushed.</summary>
    public async Task<bool> CloseAsync(TimeSpan drain)
    {
        await closing.CancelAsync();
        await watching;
        await StopServingAsync();
        bool drained = await vmView.CloseAsync(drain);
        await replica.DisposeAsync();
        bool flushed = await disk.FlushAsync() == BlockStatus.Ok;
        await disk.DisposeAsync();
        closing.Dispose();
        return drained && flushed;
    }

    private static async Task<PrimaryBase> ResumeAsync(
        VolumeParts parts, ReplicaMemory memory, ReplicaPaths paths, ReplicaLineage lineage, RawFile disk)
    {
        ReplicaSpec spec = memory.Current.Spec;
        ReplicaNews news = new(parts.Logs.CreateLogger<SecondaryReplica>(), spec.Uid, spec.Term);
        SecondaryReplica replica = await OpenReplicaAsync(parts, memory, paths, lineage, disk, news);
        if (replica.State == ReplicationState.Running)
        {
            await replica.StopAsync(new(spec.Term), failover: true, ApiMapping.ToReplica(spec.RecoveryPoint));
        }

        return PrimaryBase.Promoted(
            disk, replica, memory, parts.Logs.CreateLogger<SecondaryService>(), () => ValueTask.CompletedTask);
    }

    private static ValueTask<SecondaryReplica> OpenReplicaAsync(
        VolumeParts parts, ReplicaMemory memory, ReplicaPaths paths, ReplicaLineage lineage, RawFile disk, ReplicaNews news)
    {
        ReplicaSpec spec = memory.Current.Spec;
        return SecondaryReplica.OpenAsync(
            new()
            {
                Uid = new(spec.Uid),

                // Shorter than the primary's forward timeout, which would otherwise make every full buffer a lost secondary.
                Buffer = new(
                    spec.Buffer.LimitBytes,
                    ApiMapping.ToReplica(spec.Buffer.OnFull),
                    patience: TimeSpan.FromMilliseconds(parts.Options.Limits.PeerTimeoutMilliseconds * 0.6)),
            },
            disk,
            paths.Epochs(spec),
            memory,
            new(spec.Term),
            parts.Time,
            news,
            lineage);
    }

    private void Serve()
    {
        StoredReplica known = memory.Current;
        string name = ReplicationExports.NameOf(uid, term.Value);
        exports = new SecondaryExports(
            Target(name, known.Generation),
            known.Spec.PlainExportName.Length > 0 ? Target(known.Spec.PlainExportName, known.Generation) : null,
            new NbdExport(
                LineageExport.NameOf(name),
                new LineageExport(replica, disk.LengthBytes, reason => log.AnnouncementRefused(uid, term.Value, reason))));
        parts.Replication.Serve(
            uid,
            term.Value,
            exports,
            async token => await IsStaleAsync(token) ? "its copy misses writes and begins anew first; try again" : null,
            new PrimaryCheck(parts, memory).RefusalAsync);
    }

    private NbdExport Target(string name, string generation)
    {
        ReplicationTarget target = replica.OpenTarget(term);
        return new NbdExport(name, target)
        {
            Description = NbdReplicationLink.DescribeGeneration(generation),
            Checkpoint = _ => target.CheckpointAsync(),
            Connected = _ =>
            {
                hadPrimary = true;
                if (Interlocked.Increment(ref primaries) == 1)
                {
                    replica.PrimaryConnected();
                }
            },
            Disconnected = _ =>
            {
                Interlocked.Decrement(ref primaries);
                LookForStale();
            },
        };
    }

    private void LookForStale()
    {
        if (watching.IsCompleted && !closing.IsCancellationRequested)
        {
            watching = WatchForStaleAsync();
        }
    }

    /// <summary>Until a primary is back, or the record says that this copy misses writes.</summary>
    private async Task WatchForStaleAsync()
    {
        if (await leftBehind.WaitAsync(IsStaleAsync, () => IsConnected, closing.Token))
        {
            becameStale(this);
        }
    }

    /// <summary>Lost its primary, and the record says that it misses writes. A copy that is being filled has no view to lose, and may go
    /// on; but not with a disk that answers no flush any more.</summary>
    private async ValueTask<bool> IsStaleAsync(CancellationToken token) =>
        replica.State == ReplicationState.Running && hadPrimary && !IsConnected
        && (replica.IsFilling ? hasLostFlush() : await leftBehind.AskAsync(token));

    private async Task StopServingAsync()
    {
        parts.Replication.Remove(uid);
        foreach (NbdExport? served in new[] { exports?.Target, exports?.Plain, exports?.Lineage })
        {
            if (served is not null)
            {
                await served.CloseAsync();
                await served.Device.DisposeAsync();
            }
        }

        exports = null;
    }

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
