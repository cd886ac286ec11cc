using Colo.Agent.Volumes;
using Colo.AgentApi;
using Colo.Blocks;
using Colo.Nbd.Server;
using Colo.Replication;
using Term = Colo.Replication.Term;
using Rep = Colo.Replication;

namespace Colo.Simulation.Agents;

/// <summary>As the agent's SecondaryService: the real replica, and the export that its primary writes to.</summary>
internal sealed class SimSecondary
{
    private readonly AgentParts parts;
    private readonly SimMemory memory;
    private readonly SimExports exports;
    private readonly SimNews news;
    private readonly IBlockDevice disk;
    private readonly SecondaryReplica replica;
    private readonly Action<SimSecondary> becameStale;
    private readonly Term term;
    private readonly string uid;
    private readonly CancellationTokenSource closing = new();
    private readonly ReplicaLineage? lineage;
    private NbdExport? export;
    private NbdExport? shown;
    private int primaries;
    private bool hadPrimary;
    private Task watching = Task.CompletedTask;

    private SimSecondary(
        AgentParts parts, SimMemory memory, SimExports exports, SimNews news, IBlockDevice disk, SecondaryReplica replica,
        ReplicaLineage? lineage, Action<SimSecondary> becameStale)
    {
        (this.parts, this.memory, this.exports, this.news, this.disk, this.replica, this.lineage, this.becameStale) =
            (parts, memory, exports, news, disk, replica, lineage, becameStale);
        uid = memory.Current.Spec.Uid;
        term = new(memory.Current.Spec.Term);
        news.OnCheckpoint = report => parts.World.Checkpoints.Closed(parts.Machine, replica, report);
    }

    public Rep.LatchedError? FirstError => replica.FirstError;

    public bool IsReplicating => replica.State == Rep.ReplicationState.Running;

    public SecondaryReplica Replica => replica;

    private bool IsConnected => primaries > 0;

    public static async Task<SimSecondary> OpenAsync(AgentParts parts, SimMemory memory, SimExports exports, ReplicaLineage? lineage, Action<SimSecondary> becameStale)
    {
        IBlockDevice disk = parts.OpenDisk(Role.Secondary);
        SimNews news = parts.News("secondary");
        SecondaryReplica replica = await OpenReplicaAsync(parts, memory, lineage, disk, news);
        SimSecondary service = new(parts, memory, exports, news, disk, replica, lineage, becameStale);
        if (replica.State == Rep.ReplicationState.Running)
        {
            service.hadPrimary = true;
            service.Serve();
            service.LookForStale();
        }
        else
        {
            exports.Announce(service.uid, memory.Current.Spec.Term);
        }

        return service;
    }

    /// <summary>After a restart in the middle of a promotion: goes on with it.</summary>
    public static async Task<SimBase> ResumePromotionAsync(AgentParts parts, SimMemory memory, ReplicaLineage? lineage)
    {
        ReplicaSpec spec = memory.Current.Spec;
        World.SimEpochStore epochs = parts.EpochFiles();
        EpochPhase phase = epochs.Read().Phase;
        bool latest = spec.RecoveryPoint == AgentApi.RecoveryPoint.LatestWrite;
        IBlockDevice disk = parts.OpenDisk(Role.Primary);
        switch (phase)
        {
            case EpochPhase.Done:
            case EpochPhase.None or EpochPhase.Replicating when latest:
                epochs.Clear();
                memory.Update(known => known with { Promoting = false });
                await parts.World.Lives.PromotedAsync(parts.Machine, memory.Current.Spec, disk);
                return SimBase.Disk(disk);
            case EpochPhase.Filling:
                throw new VolumeFaultException(VolumeFaultKind.Damaged, "promoted while it was being filled: its disk is a mixture");
            case EpochPhase.None:
                throw new VolumeFaultException(
                    VolumeFaultKind.Damaged, "the buffer of an unfinished failover was lost with the machine: the disk is a mixture");
            default:
                SecondaryReplica replica = await OpenReplicaAsync(parts, memory, lineage, disk, parts.News("secondary"));
                if (replica.State == Rep.ReplicationState.Running)
                {
                    await replica.StopAsync(new(spec.Term), failover: true, SimMapping.ToReplica(spec.RecoveryPoint));
                }

                await parts.World.Lives.PromotedAsync(parts.Machine, memory.Current.Spec, replica.ServingDevice);
                return SimBase.Promoted(disk, replica, memory);
        }
    }

    public async Task<bool> MustBeginAnewAsync(AgentApi.ResyncMode asked) =>
        asked != AgentApi.ResyncMode.None && (replica.State is Rep.ReplicationState.Done || await IsStaleAsync(closing.Token));

    public async Task StartAsync(AgentApi.ResyncMode asked)
    {
        if (replica.State != Rep.ReplicationState.None)
        {
            return;
        }

        await SimMapping.Calling(async () => await replica.StartAsync(term, filling: asked != AgentApi.ResyncMode.None));
        Serve();
    }

    public async Task<CheckpointReply> CheckpointAsync()
    {
        try
        {
            return SimMapping.ToApi(await replica.CheckpointAsync(term));
        }
        catch (ReplicationException e)
        {
            throw SimMapping.ToFault(e);
        }
    }

    public async Task StopAsync()
    {
        await StopServingAsync();
        await SimMapping.Calling(async () => await replica.StopAsync(term, failover: false, Rep.RecoveryPoint.LatestWrite));
    }

    public async Task<SimBase> PromoteAsync(Term newTerm, Rep.RecoveryPoint recoveryPoint)
    {
        await closing.CancelAsync();
        await watching;
        if (parts.Mutant.CutsFormerPrimary)
        {
            await StopServingAsync();
        }

        await SimMapping.Calling(async () => await replica.StopAsync(newTerm, failover: true, recoveryPoint));
        await parts.World.Lives.PromotedAsync(parts.Machine, memory.Current.Spec, replica.ServingDevice);
        return SimBase.Promoted(disk, replica, memory);
    }

    public void Fill(VolumeStatus status)
    {
        status.State = replica.State switch
        {
            Rep.ReplicationState.None => ReplicaState.Prepared,
            Rep.ReplicationState.Running => replica.IsFilling ? ReplicaState.Syncing : ReplicaState.Running,
            Rep.ReplicationState.Failover => ReplicaState.FailingOver,
            Rep.ReplicationState.FailoverFailed => ReplicaState.FailoverFailed,
            _ => ReplicaState.Done,
        };
        status.Connected = IsConnected;
        status.Epoch = replica.Epoch;
        status.CheckpointSequence = news.Checkpoints;
        status.BufferedBytes = replica.BufferedBytes;
        status.CheckpointWanted = news.IsCheckpointWanted;
        status.Error = SimMapping.ToApi(replica.FirstError);
        status.Endpoints.Replication = parts.Node;
        status.Endpoints.ReplicationExport = export?.Name ?? "";
    }

    public async Task<bool> CloseAsync()
    {
        await closing.CancelAsync();
        await watching;
        await StopServingAsync();
        await replica.DisposeAsync();
        return await disk.FlushAsync() == BlockStatus.Ok;
    }

    private static ValueTask<SecondaryReplica> OpenReplicaAsync(
        AgentParts parts, SimMemory memory, ReplicaLineage? lineage, IBlockDevice disk, SimNews news)
    {
        ReplicaSpec spec = memory.Current.Spec;
        return SecondaryReplica.OpenAsync(
            new()
            {
                Uid = new(spec.Uid),
                Buffer = new(spec.Buffer.LimitBytes, SimMapping.ToReplica(spec.Buffer.OnFull), patience: parts.Profile.PeerTimeout * 0.6),
            },
            disk,
            parts.Mutant.Wrap(parts.EpochFiles(), parts),
            parts.Mutant.Wrap(memory, parts),
            new(spec.Term),
            parts.Process.Time,
            news,
            lineage);
    }

    private void Serve()
    {
        ReplicationTarget target = replica.OpenTarget(term);
        export = new NbdExport(ReplicationExports.NameOf(uid, term.Value), parts.TargetDevice(target))
        {
            Description = NbdReplicationLink.DescribeGeneration(memory.Current.Generation),
            Checkpoint = _ => target.CheckpointAsync(),
            Connected = _ =>
            {
                hadPrimary = true;
                if (++primaries == 1)
                {
                    replica.PrimaryConnected();
                }
            },
            Disconnected = _ =>
            {
                primaries--;
                if (!parts.Process.IsDead)
                {
                    LookForStale();
                }
            },
        };
        exports.Serve(
            uid,
            term.Value,
            export,
            lineage is null ? null : shown = new NbdExport(
                LineageExport.NameOf(export.Name), new LineageExport(replica, disk.LengthBytes, reason => parts.Trace.Say($"{parts.Process.Name} refuses: {reason}"))),
            async token => await IsStaleAsync(token) ? "its copy misses writes and begins anew first; try again" : null);
    }

    private void LookForStale()
    {
        if (watching.IsCompleted && !closing.IsCancellationRequested)
        {
            watching = WatchForStaleAsync();
        }
    }

    private async Task WatchForStaleAsync()
    {
        try
        {
            TimeSpan pause = AgentParts.Retry;
            do
            {
                if (await IsStaleAsync(closing.Token))
                {
                    becameStale(this);
                    return;
                }

                await Task.Delay(pause, parts.Process.Time, closing.Token);
                pause = pause + pause < TimeSpan.FromSeconds(5) ? pause + pause : TimeSpan.FromSeconds(5);
            }
            while (!IsConnected);
        }
        catch (OperationCanceledException)
        {
            // Closed meanwhile.
        }
    }

    private async Task<bool> IsStaleAsync(CancellationToken token) =>
        replica.State == Rep.ReplicationState.Running && !replica.IsFilling && hadPrimary && !IsConnected && await AskAsync(token);

    /// <summary>As the agent's LeftBehind.</summary>
    private async Task<bool> AskAsync(CancellationToken token)
    {
        ReplicaSpec spec = memory.Current.Spec;
        using CancellationTokenSource limit = CancellationTokenSource.CreateLinkedTokenSource(token);
        using ITimer timer = parts.Process.Time.CreateTimer(_ => limit.Cancel(), null, TimeSpan.FromSeconds(1), Timeout.InfiniteTimeSpan);
        try
        {
            return await parts.Records.ReadAsync(limit.Token) is { } record
                && record.Primary != parts.Node
                && (record.Term != spec.Term || record.Secondary != parts.Node || record.SecondaryState != AgentApi.SecondaryState.InSync);
        }
        catch (Exception e) when (e is IOException || (e is OperationCanceledException && !token.IsCancellationRequested))
        {
            return false;
        }
    }

    private async Task StopServingAsync()
    {
        exports.Remove(uid);
        foreach (NbdExport? served in new[] { export, shown })
        {
            if (served is not null)
            {
                await served.CloseAsync();
                await served.Device.DisposeAsync();
            }
        }

        (export, shown) = (null, null);
    }
}
