using Colo.AgentApi;
using Colo.Blocks;
using Colo.Linux;
using Colo.Qcow2;
using Colo.Replication;

namespace Colo.Agent.Volumes;

/// <summary>
/// The life of one replica: prepared, started, promoted, stopped, adopted after a restart, released, deleted. Calls are serialised;
/// I/O is not. Remembers durably what a restart must know, before it acts on it. Owns whichever service is open (primary or secondary).
/// </summary>
public sealed class VolumeHost(VolumeParts parts, string uid, string pool)
{
    private readonly SemaphoreSlim gate = new(1, 1);
    private readonly ReplicaPaths paths = new(parts.Options, pool, uid);
    private readonly ILogger log = parts.Logs.CreateLogger<VolumeHost>();
    private readonly CancellationTokenSource closing = new();
    private StoredReplicaFile? file;
    private volatile StoredReplica? state;
    private volatile PrimaryService? primary;
    private volatile SecondaryService? secondary;
    private volatile string? fault;
    private volatile bool fenced;
    private Task confirming = Task.CompletedTask;

    public string Uid => uid;

    /// <summary>False before the first Prepare succeeded, and after Release or Delete.</summary>
    public bool HasReplica => state is { Released: false } || fault is not null;

    /// <summary>Opens what a former process left, as it was; a fault is kept and shown, never thrown.</summary>
    public Task AdoptAsync() => SerialAsync(async () =>
    {
        try
        {
            file = new(paths.State);
            state = file.Read();
            if (state is { Released: false })
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
                Confirm(spec);
                created = await PrepareLockedAsync(spec, policy);
            },
            token);
        return created;
    }

    public Task StartAsync(long term, PeerSpec? peer, ResyncMode resync, CancellationToken token) => SerialAsync(
        async () =>
        {
            Admit(term);
            if (secondary is { } target)
            {
                await target.StartAsync();
                Save(state! with { Started = true });
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
                Save(state! with { Stopped = true });
            }
            else
            {
                Admit(term);
                await Primary().StopAsync(failover, token);
                Save(state! with { Stopped = true });
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
            Save(state! with { Started = false });
        },
        token);

    public Task ReleaseAsync(long term, CancellationToken token) => SerialAsync(
        async () =>
        {
            Admit(term, mayRaise: true);
            await CloseServiceAsync("released", TimeSpan.FromSeconds(parts.Options.Limits.ShutdownSeconds));
            if (state is { } known)
            {
                Save(known with { Released = true, HighestTerm = Math.Max(known.HighestTerm, term) });
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
            state = null;
            fault = null;
            log.Deleted(uid);
        },
        token);

    /// <summary>The process ends: drain, flush, close, and remember that it was done.</summary>
    public Task CloseAsync(string why, TimeSpan drain) => SerialAsync(() => CloseServiceAsync(why, drain));

    public void Fault(string reason)
    {
        fault = reason;
        log.Faulted(uid, reason);
    }

    public VolumeStatus Status()
    {
        VolumeStatus status = new() { Uid = uid, Node = parts.Options.NodeName, Pool = pool, DiskPath = paths.Disk, Fault = fault ?? "" };
        if (state is not { } known)
        {
            status.State = fault is null ? ReplicaState.Unspecified : ReplicaState.Faulted;
            return status;
        }

        ReplicaSpec spec = known.Spec;
        status.Name = spec.Name;
        status.Namespace = spec.Namespace;
        status.Role = spec.Role;
        status.Term = spec.Term;
        status.SizeBytes = spec.SizeBytes;
        status.BufferLimitBytes = spec.Buffer.LimitBytes;
        status.RecoveryPoint = spec.RecoveryPoint;
        status.CheckpointSequence = known.CheckpointSequence;
        if (spec.Peer is { } peer)
        {
            status.Peer = new()
            {
                Node = peer.Node, ReplicationAddress = peer.ReplicationAddress, ExportName = peer.ExportName, QmpAddress = peer.QmpAddress,
            };
        }

        status.State = ReplicaState.WaitingArbiter;
        primary?.Fill(status);
        secondary?.Fill(status);
        if (fault is not null)
        {
            status.State = fenced ? ReplicaState.Fenced : ReplicaState.Faulted;
        }

        return status;
    }

    private void Confirm(ReplicaSpec spec) => RecordCheck.Require(spec, parts.Options.NodeName);

    private async Task<bool> PrepareLockedAsync(ReplicaSpec spec, CreatePolicy policy)
    {
        file ??= new(paths.State);
        StoredReplica? known = state ?? file.Read();
        if (known is null)
        {
            return policy == CreatePolicy.MustExist
                ? throw new VolumeFaultException(VolumeFaultKind.NotFound, $"there is no replica of volume {uid} in pool {pool}")
                : await CreateAsync(spec);
        }

        RequireSame(known.Spec, spec, policy);
        bool isOpen = primary is not null || secondary is not null;
        if (isOpen && known.Spec.Term == spec.Term)
        {
            // Idempotent: the same call again, perhaps with a peer that moved.
            Save(known with { Spec = spec with { Peer = spec.Peer ?? known.Spec.Peer } });
            return false;
        }

        await CloseServiceAsync($"prepared as {spec.Role} under term {spec.Term}", TimeSpan.FromSeconds(parts.Options.Limits.ShutdownSeconds));
        bool sameTerm = known.Spec.Term == spec.Term;
        fault = null;
        fenced = false;
        Save(known with
        {
            Spec = spec,
            HighestTerm = spec.Term,
            Started = sameTerm && known.Started,
            Stopped = sameTerm && known.Stopped,
            Promoting = sameTerm && known.Promoting,
            CheckpointSequence = sameTerm ? known.CheckpointSequence : 0,
            Released = false,
        });
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
            Save(new()
            {
                Version = StoredReplica.CurrentVersion,
                Spec = spec,
                HighestTerm = spec.Term,
                Generation = Guid.NewGuid().ToString("N"),
                BootId = BootId.Current,
                Clean = true,
            });
            await OpenAsync("created");
            log.Created(uid, spec.Term, spec.Role.ToString());
            return true;
        }
        catch (Exception e) when (IsExpected(e))
        {
            // Nothing was served and nothing is remembered: the same call may be tried again.
            await CloseServiceAsync("creation failed", TimeSpan.Zero);
            DeleteDirectory(paths.Buffer(spec.Buffer.Medium));
            DeleteDirectory(paths.Directory);
            state = null;
            file = null;
            throw e as VolumeFaultException ?? ToFault(e);
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
            throw e as VolumeFaultException ?? ToFault(e);
        }
    }

    private async Task OpenAsync(string how)
    {
        MakeDisk();
        StoredReplica known = state!;
        if (known.Spec.Role == Role.Primary && !IsConfirmed())
        {
            return;
        }

        // A crash from here on may leave writes on one side only; the machine's crash may lose answered ones.
        bool lostMemory = !known.Clean && known.BootId != BootId.Current;
        bool wasClean = known.Clean;
        Save(known with
        {
            Clean = false,
            BootId = BootId.Current,
            Generation = lostMemory ? Guid.NewGuid().ToString("N") : known.Generation,
        });
        if (known.Spec.Role == Role.Primary)
        {
            primary = await PrimaryService.OpenAsync(parts, this, paths, mayHaveInFlight: !wasClean);
        }
        else
        {
            secondary = await SecondaryService.OpenAsync(parts, this, paths);
        }

        log.Opened(uid, known.Spec.Term, known.Spec.Role.ToString(), how);
    }

    private void MakeDisk()
    {
        StoredReplica known = state!;
        if (!known.DiskCreated)
        {
            File.Delete(paths.Disk);
            using (IDisposable made = (IDisposable)RawFile.Create(paths.Disk, known.Spec.SizeBytes))
            {
            }

            Save(known with { DiskCreated = true });
        }
    }

    /// <summary>Asks the arbiter before a primary serves; without an answer, goes on asking in the background.</summary>
    private bool IsConfirmed()
    {
        (RecordVerdict verdict, string reason) = RecordCheck.ForPrimary(state!.Spec, parts.Options.NodeName);
        switch (verdict)
        {
            case RecordVerdict.Confirmed:
                return true;
            case RecordVerdict.Superseded:
                Fence(reason);
                return false;
            default:
                log.WaitingForArbiter(uid, state.Spec.Term, reason);
                if (confirming.IsCompleted)
                {
                    confirming = ConfirmLaterAsync(state.Spec.Term);
                }

                return false;
        }
    }

    private async Task ConfirmLaterAsync(long term)
    {
        try
        {
            using PeriodicTimer timer = new(TimeSpan.FromMilliseconds(parts.Options.Limits.RetryMilliseconds), parts.Time);
            while (await timer.WaitForNextTickAsync(closing.Token))
            {
                (RecordVerdict verdict, _) = RecordCheck.ForPrimary(state!.Spec, parts.Options.NodeName);
                if (verdict != RecordVerdict.Unknown)
                {
                    await SerialAsync(
                        async () =>
                        {
                            if (state is { Released: false } known && known.Spec.Term == term && primary is null && secondary is null)
                            {
                                await OpenAsync("confirmed by the arbiter");
                            }
                        },
                        closing.Token);
                    return;
                }
            }
        }
        catch (OperationCanceledException)
        {
            // The process ends; the next one asks again.
        }
        catch (Exception e) when (IsExpected(e))
        {
            Fault(e.Message);
        }
    }

    /// <summary>A newer term exists: nothing is served any more, and no restart forgets it.</summary>
    private void Fence(string reason)
    {
        fenced = true;
        fault = reason;
        log.Fenced(uid, state!.Spec.Term, reason);
    }

    private async Task AttachLockedAsync(PeerSpec? peer, ResyncMode resync, CancellationToken token)
    {
        PrimaryService source = Primary();
        PeerSpec target = peer ?? state!.Spec.Peer
            ?? throw new VolumeFaultException(VolumeFaultKind.InvalidArgument, "peer: neither this call nor Prepare names one");
        Save(state! with { Spec = state.Spec with { Peer = target }, Stopped = false });
        await source.AttachAsync(target, resync, token);
        Save(state! with { Started = true });
    }

    private async Task PromoteAsync(long term, RecoveryPoint asked)
    {
        ReplicaSpec spec = state!.Spec with
        {
            Term = term,
            Role = Role.Primary,
            Peer = null,
            RecoveryPoint = asked == RecoveryPoint.Unspecified ? state.Spec.RecoveryPoint : asked,
        };
        if (term == state.Spec.Term)
        {
            throw new VolumeFaultException(
                VolumeFaultKind.Precondition, $"promotion needs a term above {term}, which the arbiter's record must show");
        }

        RecordCheck.Require(spec with { PlainExportName = "" }, parts.Options.NodeName);
        long start = parts.Time.GetTimestamp();
        StoredReplica before = state;
        Save(before with { Spec = spec, HighestTerm = term, Promoting = true, CheckpointSequence = 0 });
        SecondaryService target = secondary!;
        try
        {
            primary = await target.PromoteAsync(spec);
            secondary = null;
        }
        catch (Exception e) when (IsExpected(e))
        {
            await CloseServiceAsync("promotion failed", TimeSpan.Zero);
            Fault($"promotion failed: {e.Message}");
            throw new VolumeFaultException(VolumeFaultKind.Failed, $"promotion failed: {e.Message}", e);
        }

        TimeSpan took = parts.Time.GetElapsedTime(start);
        primary.PromotedIn(took);
        log.Promoted(uid, term, spec.RecoveryPoint.ToString(), took.TotalMilliseconds);
    }

    /// <summary>Closes whichever service is open; the state says Clean only where it drained and flushed.</summary>
    private async Task CloseServiceAsync(string why, TimeSpan drain)
    {
        bool clean = true;
        bool wasOpen = primary is not null || secondary is not null;
        if (primary is { } source)
        {
            clean = await source.CloseAsync(drain);
            primary = null;
        }

        if (secondary is { } target)
        {
            clean = await target.CloseAsync(drain);
            secondary = null;
        }

        if (wasOpen && state is { } known)
        {
            Save(known with { Clean = clean });
            log.Closed(uid, known.Spec.Term, why);
        }
    }

    /// <summary>Durable before anything acts on it. Services call it too (epochs, checkpoints).</summary>
    private void Save(StoredReplica next)
    {
        (file ??= new(paths.State)).Write(next);
        state = next;
    }

    /// <exception cref="VolumeFaultException">the call is of an older term than one seen before, or of a newer one than is open.</exception>
    private void Admit(long term, bool mayRaise = false)
    {
        if (state is not { } known)
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

    private PrimaryService Primary() => primary ?? throw NotServing();

    private VolumeFaultException NotServing() => new(
        VolumeFaultKind.Precondition,
        fault is not null ? $"volume {uid} is out of service: {fault}"
        : secondary is not null ? $"volume {uid} is a secondary here: this call is for its primary"
        : primary is not null ? $"volume {uid} is a primary here: this call is for its secondary"
        : $"volume {uid} waits for the arbiter");

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
        e is IOException or UnauthorizedAccessException or VolumeFaultException or Qcow2Exception or InvalidDataException;

    private static VolumeFaultException ToFault(Exception e) => new(
        e switch
        {
            FileOpenException { Error: FileOpenError.NoSpace } => VolumeFaultKind.Exhausted,
            FileOpenException { Error: FileOpenError.Locked } => VolumeFaultKind.Precondition,
            Qcow2Exception or InvalidDataException or StateFileException => VolumeFaultKind.Damaged,
            _ => VolumeFaultKind.Failed,
        },
        e.Message,
        e);
}
