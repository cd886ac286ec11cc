using Colo.Agent.Volumes;
using Colo.AgentApi;
using Colo.Blocks;
using Colo.Replication;
using Colo.Simulation.Engine;
using Colo.Simulation.World;

namespace Colo.Simulation.Agents;

/// <summary>As the agent's OpenReplica: what is open of the replica of this node, and how it is made, opened, promoted and closed.</summary>
internal sealed class SimReplica(AgentParts parts, SimExports exports, SimMemory memory, Action<SimSecondary> becameStale)
{
    private ReplicaLineage? lineage;

    public SimPrimary? Primary { get; private set; }

    public SimSecondary? Secondary { get; private set; }

    public string? Fault { get; private set; }

    public bool IsOpen => Primary is not null || Secondary is not null;

    public async Task AdoptAsync()
    {
        try
        {
            if (memory.Load() is { Released: false })
            {
                await OpenAsync();
            }
        }
        catch (Exception e) when (IsExpected(e))
        {
            SetFault(e.Message);
        }
    }

    public async Task CreateAsync(ReplicaSpec spec)
    {
        memory.Begin(new()
        {
            Version = StoredReplica.CurrentVersion,
            Spec = spec,
            HighestTerm = spec.Term,
            Generation = parts.World.NewGeneration(),
            BootId = parts.Machine.Boot.ToString(System.Globalization.CultureInfo.InvariantCulture),
            Clean = true,
        });
        await OpenAsync();
    }

    public async Task OpenOrFaultAsync()
    {
        try
        {
            await OpenAsync();
        }
        catch (Exception e) when (IsExpected(e))
        {
            SetFault(e.Message);
            throw ToFault(e);
        }
    }

    public async Task StartSecondaryAsync(AgentApi.ResyncMode resync)
    {
        if (await Secondary!.MustBeginAnewAsync(resync))
        {
            await BeginAnewAsync();
        }

        await Secondary!.StartAsync(resync);
        memory.Update(s => s with { Started = true, Stopped = false });
    }

    public async Task BeginAnewAsync()
    {
        await CloseAsync();
        parts.EpochFiles().Clear();
        memory.Update(s => s with { Started = false });
        await OpenOrFaultAsync();
    }

    public async Task PromoteAsync(long term, AgentApi.RecoveryPoint asked)
    {
        StoredReplica before = memory.Current;
        if (term == before.Spec.Term)
        {
            throw new VolumeFaultException(VolumeFaultKind.Precondition, $"promotion needs a term above {term}");
        }

        ReplicaSpec spec = before.Spec with
        {
            Term = term,
            Role = Role.Primary,
            Peer = null,
            RecoveryPoint = asked == AgentApi.RecoveryPoint.Unspecified ? before.Spec.RecoveryPoint : asked,
        };
        await RecordCheck.RequireAsync(parts.Records, spec, parts.Node, CancellationToken.None);
        memory.Update(s => s with { Spec = spec, HighestTerm = term, Promoting = true, Started = false, Stopped = false });
        try
        {
            SimBase below = await Secondary!.PromoteAsync(new(term), SimMapping.ToReplica(spec.RecoveryPoint));
            Secondary = null;
            Primary = await OpenPrimaryAsync(below, lineage, mayHaveInFlight: true);
        }
        catch (Exception e) when (IsExpected(e))
        {
            SetFault($"promotion failed: {e.Message}");
            await CloseAsync();
            throw new VolumeFaultException(VolumeFaultKind.Failed, $"promotion failed: {e.Message}", e);
        }

        parts.Coverage.Count($"event:promoted {spec.RecoveryPoint}");
    }

    public async Task CloseAsync()
    {
        bool? clean = Primary is { } source ? await source.CloseAsync(AgentParts.Drain)
            : Secondary is { } target ? await target.CloseAsync()
            : null;
        (Primary, Secondary) = (null, null);
        await CloseLineageAsync(clean == true);
        if (clean is { } isClean && memory.Known is not null)
        {
            memory.Update(s => s with { Clean = isClean });
        }
    }

    public void DeleteFiles()
    {
        parts.EpochFiles().Clear();
        if (!parts.Process.IsDead)
        {
            (parts.Machine.Medium, parts.Machine.Lineage) = (null, null);
        }

        memory.Forget();
    }

    public void SetFault(string reason)
    {
        if (!parts.Process.IsDead)
        {
            Fault = reason;
            parts.Trace.Say($"{parts.Process.Name} faulted: {reason}");
            parts.Coverage.Count("event:faulted");
        }
    }

    public void ClearFault() => Fault = null;

    public VolumeFaultException NotServing() => new(VolumeFaultKind.Precondition, Fault ?? "not open, or in another role");

    public static bool IsExpected(Exception e) => e is IOException or VolumeFaultException or InvalidDataException or ReplicationException;

    private async Task OpenAsync()
    {
        if (memory.Current is { DiskCreated: false } known)
        {
            parts.Machine.Medium = new Medium(known.Spec.SizeBytes);
            parts.Machine.Lineage = parts.Profile.KeepsLineage ? new LineageFiles(known.Spec.SizeBytes) : null;
            parts.Machine.HasLostWrites = false;
            string identity = parts.Machine.DiskIdentity;
            memory.Update(s => s with { DiskCreated = true, DiskIdentity = identity });
        }

        RequireSameDisk();

        StoredReplica before = memory.Current;
        string boot = parts.Machine.Boot.ToString(System.Globalization.CultureInfo.InvariantCulture);
        memory.Update(s => s with
        {
            Clean = false,
            BootId = boot,
            Generation = !s.Clean && s.BootId != boot ? parts.World.NewGeneration() : s.Generation,
        });
        ReplicaLineage? opened = await OpenLineageAsync();
        if (before.Spec.Role == Role.Secondary)
        {
            Secondary = await SimSecondary.OpenAsync(parts, memory, exports, opened, becameStale);
        }
        else
        {
            SimBase below = before.Promoting
                ? await SimSecondary.ResumePromotionAsync(parts, memory, opened)
                : SimBase.Disk(parts.OpenDisk(Role.Primary));
            Primary = await OpenPrimaryAsync(below, opened, mayHaveInFlight: !before.Clean);
        }

        parts.Trace.Say($"{parts.Process.Name} opened as {before.Spec.Role} of term {before.Spec.Term}{(before.Promoting ? ", promoting" : "")}");
    }

    /// <summary>As the agent's DiskEvidence.</summary>
    private void RequireSameDisk()
    {
        if (memory.Current.DiskIdentity != parts.Machine.DiskIdentity)
        {
            throw new VolumeFaultException(
                VolumeFaultKind.Damaged, $"the disk is another file ({parts.Machine.DiskIdentity}) than this replica's ({memory.Current.DiskIdentity}): it was replaced or restored");
        }
    }

    private async Task<ReplicaLineage?> OpenLineageAsync()
    {
        await CloseLineageAsync(isClean: false);
        if (parts.Machine.Lineage is not { } files)
        {
            return null;
        }

        StoredReplica known = memory.Current;
        ReplicaLineage opened = await ReplicaLineage.OpenAsync(
            parts.LineageStore(files), known.Spec.SizeBytes, known.Generation, parts.DrawGeneration);
        if (opened.Record.Writes > 0 && (known.LineageWrites is not { } writes || opened.Record.Writes < writes))
        {
            await opened.ForgetAsync();
        }

        memory.Update(s => s with { LineageWrites = opened.Record.Writes });
        return lineage = opened;
    }

    private async Task CloseLineageAsync(bool isClean)
    {
        try
        {
            await (isClean && lineage is not null ? lineage.CloseCleanAsync() : ValueTask.CompletedTask);
        }
        catch (IOException)
        {
            // The next process finds the extents hot, and compares them.
        }

        lineage = null;
    }

    private async Task<SimPrimary> OpenPrimaryAsync(SimBase below, ReplicaLineage? from, bool mayHaveInFlight)
    {
        try
        {
            return await SimPrimary.OpenAsync(parts, memory, below, from, mayHaveInFlight);
        }
        catch
        {
            await below.DisposeAsync();
            throw;
        }
    }

    private static VolumeFaultException ToFault(Exception e) => e switch
    {
        VolumeFaultException already => already,
        ReplicationException replication => SimMapping.ToFault(replication),
        _ => new(VolumeFaultKind.Failed, e.Message, e),
    };
}
