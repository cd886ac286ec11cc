using Colo.AgentApi;
using Colo.Linux;
using Colo.Nbd.Server;
using Colo.Qcow2;
using Colo.Replication;
using LatchedError = Colo.AgentApi.LatchedError;
using RecoveryPoint = Colo.AgentApi.RecoveryPoint;
using ResyncMode = Colo.AgentApi.ResyncMode;

namespace Colo.Agent.Volumes;

/// <summary>
/// The life of one replica: prepared, started, promoted, stopped, adopted after a restart, released, deleted. Calls are serialised;
/// I/O is not. Remembers durably what a restart must know, before it acts on it. Owns whichever service is open (primary or secondary).
/// </summary>
public sealed class VolumeHost(VolumeParts parts, string uid, string pool)
{
    private readonly SemaphoreSlim gate = new(1, 1);
    private readonly ReplicaPaths paths = new(parts.Options, pool, uid);
    private readonly ReplicaMemory memory = new(new ReplicaPaths(parts.Options, pool, uid).State);
    private readonly ILogger log = parts.Logs.CreateLogger<VolumeHost>();
    private volatile PrimaryService? primary;
    private volatile SecondaryService? secondary;
    private volatile string? fault;
    private Task renewing = Task.CompletedTask;

    public string Uid => uid;

    /// <summary>False before the first Prepare succeeded, and after Release or Delete.</summary>
    public bool HasReplica => memory.Known is { Released: false } || fault is not null;

    /// <summary>Opens what a former process left, as it was; a fault is kept and shown, never thrown.</summary>
    public Task AdoptAsync() => SerialAsync(async () =>
    {
        try
        {
            if (memory.Load() is { Released: false })
            {
                await OpenAsync("adopted");
            }
        }
        catch (Exception e) when (IsExpected(e))
        {
            Fault(e.Message);
        }
    });

    /// <returns>Whether the replica was created.</returns>
    public async Task<bool> PrepareAsync(ReplicaSpec spec, CreatePolicy policy, CancellationToken token)
    {
        bool created = false;
        await SerialAsync(
            async () =>
            {
                Admit(spec.Term, mayRaise: true);
                RecordCheck.Require(spec, parts.Options.NodeName);
                created = await PrepareLockedAsync(spec, policy);
            },
            token);
        return created;
    }

    public Task StartAsync(long term, PeerSpec? peer, ResyncMode resync, CancellationToken token) => SerialAsync(
        async () =>
        {
            Admit(term);
            if (secondary is not null)
            {
                await StartSecondaryAsync(resync);
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
        return primary is { } source ? await source.CheckpointAsync(token)
            : secondary is { } target ? await target.CheckpointAsync()
            : throw NotServing();
    }

    public LatchedError? GetError(long term)
    {
        Admit(term);
        return primary?.Error ?? secondary?.Error;
    }

    public Task StopAsync(long term, bool failover, RecoveryPoint recoveryPoint, CancellationToken token) => SerialAsync(
        async () =>
        {
            if (secondary is not null && failover)
            {
                Admit(term, mayRaise: true);
                await PromoteAsync(term, recoveryPoint);
            }
            else if (secondary is { } target)
            {
                Admit(term);
                await target.StopAsync();
                memory.Update(known => known with { Stopped = true });
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
        if (wait && primary is { } source)
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
            await CloseServiceAsync("released", Drain);
            if (memory.Known is not null)
            {
                memory.Update(known => known with { Released = true, HighestTerm = Math.Max(known.HighestTerm, term) });
            }

            fault = null;
        },
        token);

    public Task DeleteAsync(long term, CancellationToken token) => SerialAsync(
        async () =>
        {
            Admit(term, mayRaise: true);
            await CloseServiceAsync("deleted", TimeSpan.Zero);
            foreach (BufferMedium medium in new[] { BufferMedium.Memory, BufferMedium.Disk })
            {
                DeleteDirectory(paths.Buffer(medium));
            }

            DeleteDirectory(paths.Directory);
            memory.Forget();
            fault = null;
            log.Deleted(uid);
        },
        token);

    /// <summary>The process ends: drain, flush, close, and remember that it was done.</summary>
    public async Task CloseAsync(string why, TimeSpan drain)
    {
        await SerialAsync(() => CloseServiceAsync(why, drain));
        await renewing;
    }

    public void Fault(string reason)
    {
        fault = reason;
        log.Faulted(uid, reason);
    }

    public VolumeStatus Status()
    {
        VolumeStatus status = new()
        {
            Uid = uid, Node = parts.Options.NodeName, Pool = pool, DiskPath = paths.Disk, Fault = fault ?? "", Endpoints = new(),
        };
        if (memory.Known is { } known)
        {
            known.Spec.Fill(status);
            status.Generation = known.Generation;
            primary?.Fill(status);
            secondary?.Fill(status);
        }

        if (fault is not null)
        {
            status.State = ReplicaState.Faulted;
        }

        return status;
    }

    /// <summary>For metrics: what the status does not carry.</summary>
    public (NbdExportMetrics? Guest, IReadOnlyDictionary<ReplicationError, long>? Errors) Counters() =>
        (primary?.GuestMetrics, primary?.Errors ?? secondary?.Errors);

    private async Task<bool> PrepareLockedAsync(ReplicaSpec spec, CreatePolicy policy)
    {
        if ((memory.Known ?? memory.Load()) is not { } known)
        {
            return policy == CreatePolicy.MustExist
                ? throw new VolumeFaultException(VolumeFaultKind.NotFound, $"there is no replica of volume {uid} in pool {pool}")
                : await CreateAsync(spec);
        }

        RequireSame(known.Spec, spec, policy);
        bool sameTerm = known.Spec.Term == spec.Term;
        if (sameTerm && (primary is not null || secondary is not null))
        {
            // Idempotent: the same call again, perhaps with a peer that moved.
            memory.Update(s => s with { Spec = spec with { Peer = spec.Peer ?? s.Spec.Peer } });
            return false;
        }

        await CloseServiceAsync($"prepared as {spec.Role} under term {spec.Term}", Drain);
        fault = null;
        if (sameTerm)
        {
            memory.Update(s => s with { Spec = spec, Released = false });
        }
        else
        {
            // A buffer of an older term is a view of nothing any more; what the disk lacks the next resync brings.
            paths.Epochs(known.Spec).Clear();
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

        await OpenOrFaultAsync("prepared");
        return false;
    }

    private async Task<bool> CreateAsync(ReplicaSpec spec)
    {
        if (File.Exists(paths.Disk))
        {
            throw new VolumeFaultException(
                VolumeFaultKind.Damaged, $"{paths.Disk} exists without {paths.State}: a disk is not overwritten; move it away, or restore both");
        }

        try
        {
            Directory.CreateDirectory(paths.Directory);
            memory.Begin(new()
            {
                Version = StoredReplica.CurrentVersion,
                Spec = spec,
                HighestTerm = spec.Term,
                Generation = Guid.NewGuid().ToString("N"),
                BootId = BootId.Current,
                Clean = true,
            });
            await OpenAsync("created");
            return true;
        }
        catch (Exception e) when (IsExpected(e))
        {
            // Nothing was served and nothing is remembered: the same call may be tried again.
            await CloseServiceAsync("creation failed", TimeSpan.Zero);
            DeleteDirectory(paths.Buffer(spec.Buffer.Medium));
            DeleteDirectory(paths.Directory);
            memory.Forget();
            throw ToFault(e);
        }
    }

    private async Task OpenOrFaultAsync(string how)
    {
        try
        {
            await OpenAsync(how);
        }
        catch (Exception e) when (IsExpected(e))
        {
            Fault(e.Message);
            throw ToFault(e);
        }
    }

    private async Task OpenAsync(string how)
    {
        await MakeDiskAsync();
        StoredReplica before = memory.Current;

        // A crash from here on may leave writes on one side only; the machine's crash may lose answered ones.
        memory.Update(s => s with
        {
            Clean = false,
            BootId = BootId.Current,
            Generation = !s.Clean && s.BootId != BootId.Current ? Guid.NewGuid().ToString("N") : s.Generation,
        });
        if (before.Spec.Role == Role.Secondary)
        {
            secondary = await SecondaryService.OpenAsync(parts, memory, paths, BecameStale);
        }
        else
        {
            PrimaryBase below = before.Promoting
                ? await SecondaryService.ResumePromotionAsync(parts, memory, paths)
                : PrimaryBase.Disk(paths.OpenDisk(before.Spec));
            primary = await OpenPrimaryAsync(below, mayHaveInFlight: !before.Clean);
        }

        log.Opened(uid, before.Spec.Term, before.Spec.Role, how);
    }

    private async Task<PrimaryService> OpenPrimaryAsync(PrimaryBase below, bool mayHaveInFlight)
    {
        try
        {
            return await PrimaryService.OpenAsync(parts, memory, paths, below, mayHaveInFlight);
        }
        catch
        {
            await below.DisposeAsync();
            throw;
        }
    }

    private async Task MakeDiskAsync()
    {
        if (memory.Current is { DiskCreated: false } known)
        {
            File.Delete(paths.Disk);
            await RawFile.Create(paths.Disk, known.Spec.SizeBytes).DisposeAsync();
            memory.Update(s => s with { DiskCreated = true });
        }
    }

    private void BecameStale(SecondaryService which) => renewing = Task.Run(() => SerialAsync(async () =>
    {
        try
        {
            if (ReferenceEquals(secondary, which))
            {
                await BeginAnewAsync();
            }
        }
        catch (VolumeFaultException)
        {
            // Kept and shown as the replica's fault.
        }
    }));

    private async Task BeginAnewAsync()
    {
        await CloseServiceAsync("begins anew: it misses writes", TimeSpan.Zero);
        paths.Epochs(memory.Current.Spec).Clear();
        memory.Update(s => s with { Started = false });
        await OpenOrFaultAsync("to be filled anew");
    }

    private async Task StartSecondaryAsync(ResyncMode resync)
    {
        if (secondary!.MustBeginAnew(resync))
        {
            await BeginAnewAsync();
        }

        await secondary.StartAsync(resync);
        memory.Update(s => s with { Started = true, Stopped = false });
    }

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

    private async Task PromoteAsync(long term, RecoveryPoint asked)
    {
        StoredReplica before = memory.Current;
        if (term == before.Spec.Term)
        {
            throw new VolumeFaultException(
                VolumeFaultKind.Precondition, $"promotion needs a term above {term}, which the arbiter's record must show");
        }

        ReplicaSpec spec = before.Spec with
        {
            Term = term,
            Role = Role.Primary,
            Peer = null,
            PlainExportName = "",
            RecoveryPoint = asked == RecoveryPoint.Unspecified ? before.Spec.RecoveryPoint : asked,
        };
        RecordCheck.Require(spec, parts.Options.NodeName);
        long start = parts.Time.GetTimestamp();
        memory.Update(s => s with { Spec = spec, HighestTerm = term, Promoting = true, Started = false, Stopped = false });
        try
        {
            PrimaryBase below = await secondary!.PromoteAsync(new(term), ApiMapping.ToReplica(spec.RecoveryPoint));
            secondary = null;
            primary = await OpenPrimaryAsync(below, mayHaveInFlight: true);
        }
        catch (Exception e) when (IsExpected(e))
        {
            Fault($"promotion failed: {e.Message}");
            await CloseServiceAsync("promotion failed", TimeSpan.Zero);
            throw new VolumeFaultException(VolumeFaultKind.Failed, $"promotion failed: {e.Message}", e);
        }

        TimeSpan took = parts.Time.GetElapsedTime(start);
        primary.PromotedIn(took);
        log.Promoted(uid, term, spec.RecoveryPoint, took.TotalMilliseconds);
    }

    /// <summary>Closes whichever service is open; the state says Clean only where it drained and flushed.</summary>
    private async Task CloseServiceAsync(string why, TimeSpan drain)
    {
        bool? clean = primary is { } source ? await source.CloseAsync(drain)
            : secondary is { } target ? await target.CloseAsync(drain)
            : null;
        (primary, secondary) = (null, null);
        if (clean is { } isClean && memory.Known is { } known)
        {
            memory.Update(s => s with { Clean = isClean });
            log.Closed(uid, known.Spec.Term, why);
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

        if (secondary is { IsReplicating: true } && wanted.Role == Role.Primary)
        {
            throw new VolumeFaultException(
                VolumeFaultKind.Precondition, $"volume {uid} is a running secondary: Stop with failover promotes it, by its recovery point");
        }
    }

    private TimeSpan Drain => TimeSpan.FromSeconds(parts.Options.Limits.ShutdownSeconds);

    private PrimaryService Primary() => primary ?? throw NotServing();

    private VolumeFaultException NotServing() => new(
        VolumeFaultKind.Precondition,
        fault is not null ? $"volume {uid} is out of service: {fault}"
        : secondary is not null ? $"volume {uid} is a secondary here: this call is for its primary"
        : $"volume {uid} is not open");

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

    private static void DeleteDirectory(string directory)
    {
        if (Directory.Exists(directory))
        {
            Directory.Delete(directory, recursive: true);
        }
    }

    private static bool IsExpected(Exception e) =>
        e is IOException or UnauthorizedAccessException or VolumeFaultException or Qcow2Exception or InvalidDataException
            or ReplicationException;

    private static VolumeFaultException ToFault(Exception e) => e switch
    {
        VolumeFaultException already => already,
        ReplicationException replication => ApiMapping.ToFault(replication),
        FileOpenException { Error: FileOpenError.NoSpace } => new(VolumeFaultKind.Exhausted, e.Message, e),
        FileOpenException { Error: FileOpenError.Locked } => new(VolumeFaultKind.Precondition, e.Message, e),
        Qcow2Exception or InvalidDataException or StateFileException => new(VolumeFaultKind.Damaged, e.Message, e),
        _ => new(VolumeFaultKind.Failed, e.Message, e),
    };
}
