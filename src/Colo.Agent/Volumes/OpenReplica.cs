using Colo.AgentApi;
using Colo.Blocks;
using Colo.Linux;
using Colo.Replication;
using RecoveryPoint = Colo.AgentApi.RecoveryPoint;
using ResyncMode = Colo.AgentApi.ResyncMode;

namespace Colo.Agent.Volumes;

/// <summary>
/// What is open of one replica: its primary or its secondary service, or the fault that keeps it out of service. Makes, opens, promotes
/// and closes it, and writes the memory before it acts on it. Its owner decides whether a call is due, and never makes two at a time;
/// the properties may be read at any time.
/// </summary>
/// <param name="parts">Of the process.</param>
/// <param name="uid">Of the volume.</param>
/// <param name="paths">Where it lies.</param>
/// <param name="memory">What it remembers.</param>
/// <param name="becameStale">Told, on any thread, that a secondary misses writes; <see cref="BeginAnewAsync"/> is due then.</param>
public sealed class OpenReplica(
    VolumeParts parts, string uid, ReplicaPaths paths, ReplicaMemory memory, Action<SecondaryService> becameStale)
{
    private readonly ILogger log = parts.Logs.CreateLogger<OpenReplica>();
    private volatile PrimaryService? primary;
    private volatile SecondaryService? secondary;
    private volatile string? fault;
    private volatile LineageStore? lineageStore;
    private ReplicaLineage? lineage;

    public PrimaryService? Primary => primary;

    public SecondaryService? Secondary => secondary;

    public string? Fault => fault;

    /// <summary>A flush of its files failed: what was written before may be lost, so that no later one succeeds until they are opened
    /// anew. Null: none did.</summary>
    public string? LostFlush =>
        (primary?.FlushFailure ?? secondary?.FlushFailure) is { } disk and not BlockStatus.Ok ? $"{paths.Disk}: a flush failed ({disk}); it has to be opened anew"
        : lineageStore?.FlushFailure is { } map and not BlockStatus.Ok ? $"{paths.Directory}: a flush of the lineage failed ({map}); it has to be opened anew"
        : null;

    public bool IsOpen => primary is not null || secondary is not null;

    /// <summary>Opens what a former process left, as it was; a fault is kept and shown, never thrown.</summary>
    public async Task AdoptAsync()
    {
        try
        {
            StoredReplica found = memory.Load()
                ?? throw new VolumeFaultException(VolumeFaultKind.Damaged, $"{paths.Disk} is there without {paths.State}: nobody knows what it holds");
            if (!found.Released)
            {
                await OpenAsync("adopted");
            }
        }
        catch (Exception e) when (FaultMapping.IsExpected(e))
        {
            SetFault(e.Message);
        }
    }

    /// <summary>Makes disk and memory of a replica that does not exist yet, and opens it. What fails leaves nothing behind.</summary>
    public async Task CreateAsync(ReplicaSpec spec)
    {
        if (File.Exists(paths.Disk))
        {
            throw new VolumeFaultException(
                VolumeFaultKind.Damaged, $"{paths.Disk} exists without {paths.State}: a disk is not overwritten; move it away, or restore both");
        }

        try
        {
            Directories.Create(paths.Directory);
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
        }
        catch (Exception e) when (FaultMapping.IsExpected(e))
        {
            // Nothing was served and nothing is remembered: the same call may be tried again.
            await CloseAsync("creation failed", TimeSpan.Zero);
            DeleteFiles();
            throw FaultMapping.ToFault(e);
        }
    }

    /// <summary>As <see cref="OpenAsync"/>; what fails is kept as the fault, too.</summary>
    /// <param name="how">For people.</param>
    /// <param name="first">What is to be done before; failing, it is a fault in the same way.</param>
    public async Task OpenOrFaultAsync(string how, Action? first = null)
    {
        try
        {
            first?.Invoke();
            await OpenAsync(how);
        }
        catch (Exception e) when (FaultMapping.IsExpected(e))
        {
            SetFault(e.Message);
            throw FaultMapping.ToFault(e);
        }
    }

    /// <summary>Takes a primary from here on; a secondary that missed writes begins anew before.</summary>
    public async Task StartSecondaryAsync(ResyncMode resync)
    {
        if (await secondary!.MustBeginAnewAsync(resync))
        {
            await BeginAnewAsync();
        }

        await secondary.StartAsync(resync);
        memory.Update(s => s with { Started = true, Stopped = false });
    }

    /// <summary>A secondary that misses writes: empty buffers, not started, to be filled by the next Start.</summary>
    public async Task BeginAnewAsync()
    {
        await CloseAsync("begins anew: it misses writes", TimeSpan.Zero);
        await OpenOrFaultAsync("to be filled anew", () =>
        {
            paths.Epochs(memory.Current.Spec).Clear();
            memory.Update(s => s with { Started = false });
        });
    }

    /// <summary>Makes the open secondary the primary of a higher term, which the arbiter's record must name.</summary>
    public async Task PromoteAsync(long term, RecoveryPoint asked)
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
        await RecordCheck.RequireAsync(parts.Records.Of(spec), spec, parts.Options.NodeName, CancellationToken.None);
        long start = parts.Time.GetTimestamp();
        memory.Update(s => s with { Spec = spec, HighestTerm = term, Promoting = true, Started = false, Stopped = false });
        try
        {
            PrimaryBase below = await secondary!.PromoteAsync(new(term), ApiMapping.ToReplica(spec.RecoveryPoint));
            secondary = null;
            primary = await OpenPrimaryAsync(below, lineage!, mayHaveInFlight: true);
        }
        catch (Exception e) when (FaultMapping.IsExpected(e))
        {
            SetFault($"promotion failed: {e.Message}");
            await CloseAsync("promotion failed", TimeSpan.Zero);
            throw new VolumeFaultException(VolumeFaultKind.Failed, $"promotion failed: {e.Message}", e);
        }

        TimeSpan took = parts.Time.GetElapsedTime(start);
        primary.PromotedIn(took);
        log.Promoted(uid, term, spec.RecoveryPoint, took.TotalMilliseconds);
    }

    /// <summary>Closes whichever service is open; the state says Clean only where it drained and flushed.</summary>
    public async Task CloseAsync(string why, TimeSpan drain)
    {
        bool? clean = primary is { } source ? await source.CloseAsync(drain)
            : secondary is { } target ? await target.CloseAsync(drain)
            : null;
        (primary, secondary) = (null, null);
        await CloseLineageAsync(clean == true);
        if (clean is { } isClean && memory.Known is { } known)
        {
            try
            {
                memory.Update(s => isClean ? DiskEvidence.Closed(paths, s) : s with { Clean = false });
            }
            catch (StateFileException e)
            {
                // It is closed all the same; the next opening finds one that was not closed in order, or this state after all.
                log.CloseNotNoted(uid, e.Message);
            }

            log.Closed(uid, known.Spec.Term, why);
        }
    }

    /// <summary>Closed before; then its disk, its buffers and its memory go.</summary>
    public void DeleteFiles()
    {
        foreach (BufferMedium medium in new[] { BufferMedium.Memory, BufferMedium.Disk })
        {
            Directories.Delete(paths.Buffer(medium));
        }

        // The disk first: cut off in the middle, what is left is a replica whose deletion can be asked for again.
        Directories.DeleteFile(paths.Disk);
        Directories.Delete(paths.Directory);
        memory.Forget();
    }

    /// <summary>Out of service from here on, and why.</summary>
    public void SetFault(string reason)
    {
        fault = reason;
        log.Faulted(uid, reason);
    }

    public void ClearFault() => fault = null;

    public VolumeFaultException NotServing() => new(
        VolumeFaultKind.Precondition,
        fault is not null ? $"volume {uid} is out of service: {fault}"
        : secondary is not null ? $"volume {uid} is a secondary here: this call is for its primary"
        : $"volume {uid} is not open");

    /// <summary>Opens what the memory describes, in its role.</summary>
    private async Task OpenAsync(string how)
    {
        await MakeDiskAsync();
        DiskEvidence.Require(paths, memory, log);
        StoredReplica before = memory.Current;
        if (!before.Clean && before.BootId != BootId.Current)
        {
            log.MachineWentDown(uid, before.Spec.Term);
        }

        // A crash from here on may leave writes on one side only; the machine's crash may lose answered ones.
        memory.Update(s => s with
        {
            Clean = false,
            BootId = BootId.Current,
            Generation = !s.Clean && s.BootId != BootId.Current ? Guid.NewGuid().ToString("N") : s.Generation,
        });
        ReplicaLineage opened = await OpenLineageAsync();
        if (before.Spec.Role == Role.Secondary)
        {
            secondary = await SecondaryService.OpenAsync(parts, memory, paths, opened, becameStale, () => LostFlush is not null);
        }
        else
        {
            PrimaryBase below = before.Promoting
                ? await SecondaryService.ResumePromotionAsync(parts, memory, paths, opened)
                : PrimaryBase.Disk(paths.OpenDisk(before.Spec));
            primary = await OpenPrimaryAsync(below, opened, mayHaveInFlight: !before.Clean);
        }

        log.Opened(uid, before.Spec.Term, before.Spec.Role, how);
    }

    /// <summary>An older agent that had the replica in between has noted nothing of its writes: its state file says so by what it lacks.</summary>
    private async Task<ReplicaLineage> OpenLineageAsync()
    {
        await CloseLineageAsync(isClean: false);
        StoredReplica known = memory.Current;
        LineageStore store = await LineageStore.OpenAsync(paths.Directory, known.Spec.SizeBytes);
        try
        {
            string? oldCopy = known.LineageWrites is { } writes ? await store.FindOldCopyAsync(writes) : null;
            if (oldCopy is not null)
            {
                DiskEvidence.RequireAccepted($"{oldCopy}: an old copy was put back, perhaps of the disk as well", paths, memory, log);
                known = memory.Current;
            }

            ReplicaLineage opened = await ReplicaLineage.OpenAsync(store, known.Spec.SizeBytes, known.Generation);
            if (store.DamagedSectors > 0)
            {
                log.MapDamaged(uid, store.DamagedSectors);
            }

            if (oldCopy is not null || (opened.Record.Writes > 0 && (store.HasLostMap || known.LineageWrites is null)))
            {
                await opened.ForgetAsync();
                await store.WhenWitnessedAsync();
            }

            memory.Update(s => s with { LineageWrites = opened.Record.Writes });
            (lineageStore, lineage) = (store, opened);
            return opened;
        }
        catch
        {
            await store.DisposeAsync();
            throw;
        }
    }

    /// <summary>After the service that wrote through it.</summary>
    private async Task CloseLineageAsync(bool isClean)
    {
        if (lineageStore is not { } store)
        {
            return;
        }

        try
        {
            await (isClean ? lineage!.CloseCleanAsync() : ValueTask.CompletedTask);
        }
        catch (IOException)
        {
            // The next process finds the extents hot, and compares them.
        }

        (lineageStore, lineage) = (null, null);
        await store.DisposeAsync();
    }

    private async Task<PrimaryService> OpenPrimaryAsync(PrimaryBase below, ReplicaLineage from, bool mayHaveInFlight)
    {
        try
        {
            return await PrimaryService.OpenAsync(parts, memory, paths, below, from, mayHaveInFlight);
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
            string identity = FileIdentity.Of(paths.Disk).Name;
            memory.Update(s => s with { DiskCreated = true, DiskIdentity = identity });
        }
    }
}
