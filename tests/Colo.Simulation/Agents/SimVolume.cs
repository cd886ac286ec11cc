using Colo.Agent.Volumes;
using Colo.AgentApi;
using Colo.Simulation.Engine;

namespace Colo.Simulation.Agents;

/// <summary>As the agent's VolumeHost: the calls on one replica, admitted by their term and made one at a time.</summary>
internal sealed class SimVolume
{
    private readonly AgentParts parts;
    private readonly SimMemory memory;
    private readonly SimReplica replica;
    private readonly SemaphoreSlim gate = new(1, 1);

    public SimVolume(AgentParts parts, SimExports exports)
    {
        this.parts = parts;
        memory = new(parts.Process, parts.Machine);
        replica = new(parts, exports, memory, BecameStale);
    }

    public bool HasReplica => memory.Known is { Released: false } || replica.Fault is not null;

    public SimReplica Replica => replica;

    public Task AdoptAsync() => SerialAsync(replica.AdoptAsync);

    public async Task<bool> PrepareAsync(PrepareRequest request, CancellationToken token)
    {
        ReplicaSpec spec = SimMapping.ToSpec(request);
        bool created = false;
        await SerialAsync(
            async () =>
            {
                Admit(spec.Term, mayRaise: true);
                await RecordCheck.RequireAsync(parts.Records, spec, parts.Node, token);
                created = await PrepareLockedAsync(spec, request.Create);
            },
            token);
        return created;
    }

    public Task StartAsync(StartRequest request, CancellationToken token) => SerialAsync(
        async () =>
        {
            Admit(request.Volume.Term);
            if (replica.Secondary is not null)
            {
                await replica.StartSecondaryAsync(request.Resync);
            }
            else
            {
                await AttachLockedAsync(SimMapping.ToPeer(request.Peer), request.Resync, token);
            }
        },
        token);

    public async Task<CheckpointReply> CheckpointAsync(long term, CancellationToken token)
    {
        Admit(term);
        return replica.Primary is { } source ? await source.CheckpointAsync(token)
            : replica.Secondary is { } target ? await target.CheckpointAsync()
            : throw replica.NotServing();
    }

    public Task StopAsync(StopRequest request, CancellationToken token) => SerialAsync(
        async () =>
        {
            long term = request.Volume.Term;
            if (replica.Secondary is not null && request.Failover)
            {
                Admit(term, mayRaise: true);
                await replica.PromoteAsync(term, request.RecoveryPoint);
            }
            else if (replica.Secondary is { } target)
            {
                Admit(term);
                await target.StopAsync();
                memory.Update(known => known with { Stopped = true });
            }
            else if (request.Failover && request.RecoveryPoint != RecoveryPoint.Unspecified)
            {
                Admit(term);
                await Primary().RepeatPromotionAsync();
            }
            else
            {
                Admit(term);
                await Primary().StopAsync(request.Failover, token);
                memory.Update(known => known with { Stopped = true });
            }
        },
        token);

    public Task AttachAsync(AttachSecondaryRequest request, CancellationToken token) => SerialAsync(
        async () =>
        {
            Admit(request.Volume.Term);
            await AttachLockedAsync(SimMapping.ToPeer(request.Peer), request.Resync, token);
        },
        token);

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
            await replica.CloseAsync();
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
            await replica.CloseAsync();
            replica.DeleteFiles();
            replica.ClearFault();
        },
        token);

    public VolumeStatus Status()
    {
        VolumeStatus status = new()
        {
            Uid = World.SimWorld.Uid, Node = parts.Node, Pool = "default", Fault = replica.Fault ?? "", Endpoints = new(),
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

        return status;
    }

    /// <summary>The process ends in order.</summary>
    public Task CloseAsync() => SerialAsync(replica.CloseAsync);

    private async Task<bool> PrepareLockedAsync(ReplicaSpec spec, CreatePolicy policy)
    {
        if ((memory.Known ?? memory.Load()) is not { } known)
        {
            if (policy == CreatePolicy.MustExist)
            {
                throw new VolumeFaultException(VolumeFaultKind.NotFound, "there is no replica of this volume");
            }

            await replica.CreateAsync(spec);
            return true;
        }

        if (known.Spec.Term == spec.Term && known.Spec.Role != spec.Role)
        {
            throw new VolumeFaultException(VolumeFaultKind.Precondition, $"it is {known.Spec.Role} under term {known.Spec.Term}: another role needs a higher term");
        }

        if (replica.Secondary is { IsReplicating: true } && spec.Role == Role.Primary)
        {
            throw new VolumeFaultException(VolumeFaultKind.Precondition, "a running secondary is promoted by Stop with failover");
        }

        bool sameTerm = known.Spec.Term == spec.Term;
        if (sameTerm && replica.IsOpen)
        {
            memory.Update(s => s with { Spec = spec with { Peer = spec.Peer ?? s.Spec.Peer } });
            return false;
        }

        await replica.CloseAsync();
        replica.ClearFault();
        if (sameTerm)
        {
            memory.Update(s => s with { Spec = spec, Released = false });
        }
        else
        {
            parts.EpochFiles().Clear();
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

        await replica.OpenOrFaultAsync();
        return false;
    }

    private void BecameStale(SimSecondary which) => _ = RenewAsync(which);

    private Task RenewAsync(SimSecondary which) => SerialAsync(async () =>
    {
        try
        {
            if (ReferenceEquals(replica.Secondary, which))
            {
                parts.Coverage.Count("event:began anew");
                await replica.BeginAnewAsync();
            }
        }
        catch (Exception e) when (e is VolumeFaultException or ProcessKilledException)
        {
            // Kept and shown as the replica's fault.
        }
    });

    private async Task AttachLockedAsync(PeerSpec? peer, ResyncMode resync, CancellationToken token)
    {
        SimPrimary source = Primary();
        PeerSpec target = peer ?? memory.Current.Spec.Peer
            ?? throw new VolumeFaultException(VolumeFaultKind.InvalidArgument, "no peer");
        memory.Update(s => s with { Spec = s.Spec with { Peer = target }, Stopped = false });
        await source.AttachAsync(target, resync, token);
        memory.Update(s => s with { Started = true });
    }

    private void Admit(long term, bool mayRaise = false)
    {
        if (memory.Known is not { } known)
        {
            return;
        }

        if (term < known.HighestTerm)
        {
            throw new VolumeFaultException(VolumeFaultKind.StaleTerm, $"term {term} is over: {parts.Node} has seen term {known.HighestTerm}");
        }

        if (term > known.Spec.Term && !mayRaise)
        {
            throw new VolumeFaultException(VolumeFaultKind.Precondition, $"the replica is of term {known.Spec.Term}");
        }
    }

    private SimPrimary Primary() => replica.Primary ?? throw replica.NotServing();

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
