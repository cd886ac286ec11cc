using Colo.AgentApi;
using LatchedError = Colo.AgentApi.LatchedError;
using RecoveryPoint = Colo.AgentApi.RecoveryPoint;
using ResyncMode = Colo.AgentApi.ResyncMode;

namespace Colo.Agent.Volumes;

/// <summary>
/// The calls on one replica: prepare, start, stop, promote, attach, detach, release, delete, adopt after a restart. Admits them by
/// their term and makes them one at a time; I/O is not its business. What they open and close is <see cref="OpenReplica"/>'s.
/// </summary>
public sealed class VolumeHost
{
    private readonly VolumeParts parts;
    private readonly string uid;
    private readonly string pool;
    private readonly SemaphoreSlim gate = new(1, 1);
    private readonly ReplicaPaths paths;
    private readonly ReplicaMemory memory;
    private readonly OpenReplica replica;
    private readonly ILogger log;
    private Task renewing = Task.CompletedTask;

    public VolumeHost(VolumeParts parts, string uid, string pool)
    {
        (this.parts, this.uid, this.pool) = (parts, uid, pool);
        paths = new ReplicaPaths(parts.Options, pool, uid);
        memory = new ReplicaMemory(paths.State, paths.Witnesses);
        replica = new OpenReplica(parts, uid, paths, memory, BecameStale);
        log = parts.Logs.CreateLogger<VolumeHost>();
    }

    public string Uid => uid;

    public string Pool => pool;

    /// <summary>0 where nothing is known of it yet.</summary>
    public long SizeBytes => memory.Known?.Spec.SizeBytes ?? 0;

    /// <summary>False before the first Prepare succeeded, and after Release or Delete.</summary>
    public bool HasReplica => memory.Known is { Released: false } || replica.Fault is not null;

    /// <summary>Opens what a former process left, as it was; a fault is kept and shown, never thrown.</summary>
    public Task AdoptAsync() => SerialAsync(replica.AdoptAsync);

    /// <returns>Whether the replica was created.</returns>
    public async Task<bool> PrepareAsync(ReplicaSpec spec, CreatePolicy policy, CancellationToken token)
    {
        bool created = false;
        await SerialAsync(
            async () =>
            {
                Admit(spec.Term, mayRaise: true);
                await RecordCheck.RequireAsync(parts.Records.Of(spec), spec, parts.Options.NodeName, token);
                created = await PrepareLockedAsync(spec, policy);
            },
            token);
        return created;
    }

    public Task StartAsync(long term, PeerSpec? peer, ResyncMode resync, CancellationToken token) => SerialAsync(
        async () =>
        {
            Admit(term);
            if (replica.Secondary is not null)
            {
                await replica.StartSecondaryAsync(resync);
            }
            else
            {
                await AttachLockedAsync(peer, resync, token);
            }
        },
        token);

    public async Task<CheckpointReply> CheckpointAsync(long term, CancellationToken token)
    {
        // Not under the gate: a checkpoint runs beside a resync's bookkeeping, and must not wait for a call that waits for the peer.
        Admit(term);
        return replica.Primary is { } source ? await source.CheckpointAsync(token)
            : replica.Secondary is { } target ? await target.CheckpointAsync()
            : throw replica.NotServing();
    }

    public LatchedError? GetError(long term)
    {
        Admit(term);
        return replica.Primary?.Error ?? replica.Secondary?.Error;
    }

    public Task StopAsync(long term, bool failover, RecoveryPoint recoveryPoint, CancellationToken token) => SerialAsync(
        async () =>
        {
            if (replica.Secondary is not null && failover)
            {
                Admit(term, mayRaise: true);
                await replica.PromoteAsync(term, recoveryPoint);
            }
            else if (replica.Secondary is { } target)
            {
                Admit(term);
                await target.StopAsync();
                memory.Update(known => known with { Stopped = true });
            }
            else if (failover && recoveryPoint != RecoveryPoint.Unspecified)
            {
                // The promotion that made it primary, by somebody who had no answer, or late: no word about the secondary that it has since.
                Admit(term);
                await Primary().RepeatPromotionAsync();
            }
            else
            {
                Admit(term);
                await Primary().StopAsync(failover, token);
                memory.Update(known => known with { Stopped = true });
            }
        },
        token);

    public async Task AttachAsync(long term, PeerSpec? peer, ResyncMode resync, bool wait, CancellationToken token)
    {
        await SerialAsync(
            async () =>
            {
                Admit(term);
                await AttachLockedAsync(peer, resync, token);
            },
            token);
        if (wait && replica.Primary is { } source)
        {
            await source.WhenInSyncAsync(token);
        }
    }

    public Task DetachAsync(long term, CancellationToken token) => SerialAsync(
        async () =>
        {
            Admit(term);
            await Primary().DetachAsync(token);
            memory.Update(known => known with { Started = false });
        },
        token);

    public Task ReleaseAsync(long term, CancellationToken token) => SerialAsync(
        async () =>
        {
            Admit(term, mayRaise: true);
            await replica.CloseAsync("released", Drain);
            if (memory.Known is not null)
            {
                memory.Update(known => known with { Released = true, HighestTerm = Math.Max(known.HighestTerm, term) });
            }

            replica.ClearFault();
        },
        token);

    public Task DeleteAsync(long term, CancellationToken token) => SerialAsync(
        async () =>
        {
            Admit(term, mayRaise: true);
            await replica.CloseAsync("deleted", TimeSpan.Zero);
            replica.DeleteFiles();
            replica.ClearFault();
            log.Deleted(uid);
        },
        token);

    /// <summary>The process ends: drain, flush, close, and remember that it was done.</summary>
    public async Task CloseAsync(string why, TimeSpan drain)
    {
        await SerialAsync(() => replica.CloseAsync(why, drain));
        await renewing;
    }

    public void Fault(string reason) => replica.SetFault(reason);

    public VolumeStatus Status()
    {
        VolumeStatus status = new()
        {
            Uid = uid, Node = parts.Options.NodeName, Pool = pool, DiskPath = paths.Disk, Fault = replica.Fault ?? "", Endpoints = new(),
        };
        if (memory.Known is { } known)
        {
            known.Spec.Fill(status);
            status.Generation = known.Generation;
            replica.Primary?.Fill(status);
            replica.Secondary?.Fill(status);
        }

        if (replica.Fault is not null)
        {
            status.State = ReplicaState.Faulted;
        }
        else if (replica.Primary is not null && status.Fault.Length == 0 && replica.LostFlush is { } lost)
        {
            // The other copy has what this disk may have lost. A secondary opens its files anew by itself.
            (status.State, status.Fault) = (ReplicaState.Faulted, lost);
        }

        return status;
    }

    public VolumeCounters? Counters() => replica.Primary?.Counters ?? replica.Secondary?.Counters;

    private async Task<bool> PrepareLockedAsync(ReplicaSpec spec, CreatePolicy policy)
    {
        if ((memory.Known ?? memory.Load()) is not { } known)
        {
            if (policy == CreatePolicy.MustExist)
            {
                throw new VolumeFaultException(VolumeFaultKind.NotFound, $"there is no replica of volume {uid} in pool {pool}");
            }

            await replica.CreateAsync(spec);
            return true;
        }

        RequireSame(known.Spec, spec, policy);
        bool sameTerm = known.Spec.Term == spec.Term;
        if (sameTerm && replica.IsOpen && replica.LostFlush is null)
        {
            // Idempotent: the same call again, perhaps with a peer that moved.
            memory.Update(s => s with { Spec = spec with { Peer = spec.Peer ?? s.Spec.Peer } });
            return false;
        }

        await replica.CloseAsync($"prepared as {spec.Role} under term {spec.Term}", Drain);
        replica.ClearFault();
        await replica.OpenOrFaultAsync("prepared", () => Remember(spec, sameTerm));
        return false;
    }

    private void Remember(ReplicaSpec spec, bool sameTerm)
    {
        if (sameTerm)
        {
            memory.Update(s => s with { Spec = spec with { Peer = spec.Peer ?? s.Spec.Peer }, Released = false });
            return;
        }

        // A buffer of an older term is a view of nothing any more; what the disk lacks the next resync brings.
        paths.Epochs(memory.Current.Spec).Clear();
        memory.Update(s => s with
        {
            Spec = spec,
            HighestTerm = spec.Term,
            Started = false,
            Stopped = false,
            Promoting = false,
            Released = false,
            PeerGeneration = "",
        });
    }

    private void BecameStale(SecondaryService which) => renewing = Task.Run(() => SerialAsync(async () =>
    {
        try
        {
            if (ReferenceEquals(replica.Secondary, which))
            {
                await replica.BeginAnewAsync();
            }
        }
        catch (VolumeFaultException)
        {
            // Kept and shown as the replica's fault.
        }
    }));

    private async Task AttachLockedAsync(PeerSpec? peer, ResyncMode resync, CancellationToken token)
    {
        PrimaryService source = Primary();
        PeerSpec target = peer ?? memory.Current.Spec.Peer
            ?? throw new VolumeFaultException(VolumeFaultKind.InvalidArgument, "peer: neither this call nor Prepare names one");
        memory.Update(s => s with { Spec = s.Spec with { Peer = target }, Stopped = false });
        await source.AttachAsync(target, resync, token);
        memory.Update(s => s with { Started = true });
        if (resync == ResyncMode.None)
        {
            await FirstCheckpointAsync(source, token);
        }
    }

    /// <summary>Ends the secondary's filling, where it was started without knowing that nothing would be copied. A secondary that cannot
    /// take it (a QEMU whose replication was not started) is let go, so that the call that failed can be made again.</summary>
    private async Task FirstCheckpointAsync(PrimaryService source, CancellationToken token)
    {
        try
        {
            await source.CheckpointAsync(token);
        }
        catch (VolumeFaultException)
        {
            await source.DetachAsync(token);
            memory.Update(s => s with { Started = false });
            throw;
        }
    }

    /// <exception cref="VolumeFaultException">the call is of an older term than one seen before, or of a newer one than is open.</exception>
    private void Admit(long term, bool mayRaise = false)
    {
        if (memory.Known is not { } known)
        {
            return;
        }

        if (term < known.HighestTerm)
        {
            throw new VolumeFaultException(
                VolumeFaultKind.StaleTerm, $"term {term} of volume {uid} is over: node {parts.Options.NodeName} has seen term {known.HighestTerm}");
        }

        if (term > known.Spec.Term && !mayRaise)
        {
            throw new VolumeFaultException(
                VolumeFaultKind.Precondition,
                $"the replica of volume {uid} is of term {known.Spec.Term}: Prepare (or Stop with failover) it under term {term} first");
        }
    }

    private void RequireSame(ReplicaSpec known, ReplicaSpec wanted, CreatePolicy policy)
    {
        string? difference =
            policy == CreatePolicy.MustBeNew ? "a replica exists"
            : known.SizeBytes != wanted.SizeBytes ? $"the replica has size_bytes {known.SizeBytes}, not {wanted.SizeBytes}"
            : known.Pool != wanted.Pool ? $"the replica lies in pool {known.Pool}, not {wanted.Pool}"
            : (known.Namespace, known.Name) != (wanted.Namespace, wanted.Name)
                ? $"uid {uid} is {known.Namespace}/{known.Name}, not {wanted.Namespace}/{wanted.Name}"
            : null;
        if (difference is not null)
        {
            throw new VolumeFaultException(VolumeFaultKind.AlreadyExists, $"volume {uid}: {difference}");
        }

        if (known.Term == wanted.Term && known.Role != wanted.Role)
        {
            throw new VolumeFaultException(
                VolumeFaultKind.Precondition, $"volume {uid} is {known.Role} under term {known.Term}: another role needs a higher term");
        }

        if (replica.Secondary is { IsReplicating: true } && wanted.Role == Role.Primary)
        {
            throw new VolumeFaultException(
                VolumeFaultKind.Precondition, $"volume {uid} is a running secondary: Stop with failover promotes it, by its recovery point");
        }
    }

    private TimeSpan Drain => TimeSpan.FromSeconds(parts.Options.Limits.ShutdownSeconds);

    private PrimaryService Primary() => replica.Primary ?? throw replica.NotServing();

    private Task SerialAsync(Func<Task> work) => SerialAsync(work, CancellationToken.None);

    private async Task SerialAsync(Func<Task> work, CancellationToken token)
    {
        await gate.WaitAsync(token);
        try
        {
            await work();
        }
        finally
        {
            gate.Release();
        }
    }
}
