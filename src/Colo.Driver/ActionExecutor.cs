using Colo.AgentApi;
using Colo.Api;
using Colo.Control;
using Grpc.Core;

namespace Colo.Driver;

/// <summary>What doing one action came to. Conflicts and refusals are outcomes; the next round plans from what is then the case.</summary>
public readonly record struct ActionOutcome(bool Done, string Message)
{
    public static ActionOutcome Success(string message) => new(true, message);

    public static ActionOutcome Failure(string message) => new(false, message);
}

/// <summary>Carries out the reconciler's actions: gRPC to the agents, compare-and-swap on the record. It decides nothing.</summary>
public sealed class ActionExecutor(string uid, ReplicatedVolume volume, DriverOptions options, IAgents agents, IVolumeRecordStore record)
{
    private ReplicatedVolumeSpec Spec => volume.Spec;

    public async Task<ActionOutcome> DoAsync(VolumeAction action, VolumeObservation seen, CancellationToken token)
    {
        try
        {
            return action switch
            {
                VolumeAction.CreateRecord create => await CreateAsync(create.Truth, token),
                VolumeAction.ReplaceRecord replace => await ReplaceAsync(replace, token),
                VolumeAction.PreparePrimary prepare => await PreparePrimaryAsync(prepare, token),
                VolumeAction.PrepareSecondary prepare => await PrepareSecondaryAsync(prepare, seen, token),
                VolumeAction.StartSecondary start => await StartSecondaryAsync(start, token),
                VolumeAction.StartPrimary start => await StartPrimaryAsync(start, seen, token),
                VolumeAction.AttachSecondary attach => await AttachAsync(attach, seen, token),
                VolumeAction.DetachSecondary detach => await DetachAsync(detach, token),
                VolumeAction.Checkpoint checkpoint => await CheckpointAsync(checkpoint, token),
                VolumeAction.Promote promote => await PromoteAsync(promote, token),
                VolumeAction.HoldWrites hold => await HoldAsync(hold, token),
                VolumeAction.DeleteReplica delete => await DeleteAsync(delete, token),
                VolumeAction.DeleteRecord => await DeleteRecordAsync(token),
                _ => throw new InvalidOperationException($"no way to do {action}"),
            };
        }
        catch (RpcException e) when (!token.IsCancellationRequested)
        {
            return ActionOutcome.Failure($"{Describe(action)}: {e.Status.Detail} ({e.StatusCode})");
        }
        catch (Exception e) when (e is IOException or InvalidDataException or ObjectDisposedException && !token.IsCancellationRequested)
        {
            // ObjectDisposed: the agent moved to another address while it was called.
            return ActionOutcome.Failure($"{Describe(action)}: {e.Message}");
        }
    }

    /// <summary>The node that the action is asked of; null: the record.</summary>
    public static string? NodeOf(VolumeAction action) => action switch
    {
        VolumeAction.PreparePrimary a => a.Node,
        VolumeAction.PrepareSecondary a => a.Node,
        VolumeAction.StartSecondary a => a.Node,
        VolumeAction.StartPrimary a => a.Node,
        VolumeAction.AttachSecondary a => a.Node,
        VolumeAction.DetachSecondary a => a.Node,
        VolumeAction.Checkpoint a => a.Node,
        VolumeAction.Promote a => a.Node,
        VolumeAction.HoldWrites a => a.Node,
        VolumeAction.DeleteReplica a => a.Node,
        _ => null,
    };

    private static string Describe(VolumeAction action) => $"{action.GetType().Name}{(NodeOf(action) is { } node ? " on " + node : "")}";

    private async Task<ActionOutcome> CreateAsync(VolumeTruth truth, CancellationToken token)
    {
        RecordChange change = await record.TryCreateAsync(Translate.ToRecord(uid, truth), token);
        return change.Done
            ? ActionOutcome.Success($"record created: term {truth.Term}, primary {truth.Primary}, secondary {truth.Secondary}")
            : ActionOutcome.Failure("the record was created by somebody else");
    }

    private async Task<ActionOutcome> ReplaceAsync(VolumeAction.ReplaceRecord replace, CancellationToken token)
    {
        VolumeRecord expected = Translate.ToRecord(uid, replace.Expected);
        VolumeRecord? current = await record.ReadAsync(token);
        if (current is null || current with { Revision = 0 } != expected)
        {
            return ActionOutcome.Failure("the record has changed meanwhile; looking again");
        }

        RecordChange change = await record.TryReplaceAsync(current, Translate.ToRecord(uid, replace.Next), token);
        return change.Done
            ? ActionOutcome.Success($"record: term {replace.Next.Term}, primary {replace.Next.Primary} ({replace.Reason})")
            : ActionOutcome.Failure("the record has changed meanwhile; looking again");
    }

    private async Task<ActionOutcome> PreparePrimaryAsync(VolumeAction.PreparePrimary action, CancellationToken token)
    {
        PrepareRequest request = NewPrepare(action.Term, Role.Primary);
        request.Create = action.MustExist ? CreatePolicy.MustExist : CreatePolicy.Unspecified;
        PrepareReply reply = await Client(action.Node).PrepareAsync(request, Options(token));
        return ActionOutcome.Success($"{action.Node} opened as primary of term {action.Term}{(reply.Created ? ", new" : "")}");
    }

    private async Task<ActionOutcome> PrepareSecondaryAsync(VolumeAction.PrepareSecondary action, VolumeObservation seen, CancellationToken token)
    {
        PrepareRequest request = NewPrepare(action.Term, Role.Secondary);
        request.Peer = await PeerAsync(action.PrimaryNode, seen, token);
        PrepareReply reply = await Client(action.Node).PrepareAsync(request, Options(token));
        return ActionOutcome.Success($"{action.Node} opened as secondary of term {action.Term}{(reply.Created ? ", new" : "")}");
    }

    private async Task<ActionOutcome> StartSecondaryAsync(VolumeAction.StartSecondary action, CancellationToken token)
    {
        await Client(action.Node).StartAsync(
            new StartRequest { Volume = Ref(action.Term), Resync = action.AsItIs ? ResyncMode.None : ResyncMode.Unspecified }, Options(token));
        return ActionOutcome.Success($"{action.Node} started as secondary");
    }

    private async Task<ActionOutcome> StartPrimaryAsync(VolumeAction.StartPrimary action, VolumeObservation seen, CancellationToken token)
    {
        Peer peer = await PeerAsync(action.SecondaryNode, seen, token);
        await Client(action.Node).StartAsync(new StartRequest { Volume = Ref(action.Term), Peer = peer }, Options(token));
        return ActionOutcome.Success($"{action.Node} replicates to {action.SecondaryNode}");
    }

    private async Task<ActionOutcome> AttachAsync(VolumeAction.AttachSecondary action, VolumeObservation seen, CancellationToken token)
    {
        Peer peer = await PeerAsync(action.SecondaryNode, seen, token);
        await Client(action.Node).AttachSecondaryAsync(new AttachSecondaryRequest { Volume = Ref(action.Term), Peer = peer }, Options(token));
        return ActionOutcome.Success($"{action.Node} takes {action.SecondaryNode} in");
    }

    private async Task<ActionOutcome> DetachAsync(VolumeAction.DetachSecondary action, CancellationToken token)
    {
        await Client(action.Node).DetachSecondaryAsync(new DetachSecondaryRequest { Volume = Ref(action.Term) }, Options(token));
        return ActionOutcome.Success($"{action.Node} has let go of its secondary");
    }

    private async Task<ActionOutcome> CheckpointAsync(VolumeAction.Checkpoint action, CancellationToken token)
    {
        CheckpointReply reply = await Client(action.Node).CheckpointAsync(new CheckpointRequest { Volume = Ref(action.Term) }, Options(token));
        return ActionOutcome.Success(
            $"checkpoint {reply.Sequence} ({action.Reason}); writes paused for {(reply.Pause?.ToTimeSpan() ?? TimeSpan.Zero).TotalMilliseconds:0.0} ms");
    }

    private async Task<ActionOutcome> PromoteAsync(VolumeAction.Promote action, CancellationToken token)
    {
        StopRequest request = new() { Volume = Ref(action.Term), Failover = true, RecoveryPoint = Translate.ToAgent(action.RecoveryPoint) };
        await Client(action.Node).StopAsync(request, Options(token));
        return ActionOutcome.Success($"{action.Node} serves as primary of term {action.Term} ({action.RecoveryPoint})");
    }

    private async Task<ActionOutcome> HoldAsync(VolumeAction.HoldWrites action, CancellationToken token)
    {
        await Client(action.Node).ReleaseAsync(new ReleaseRequest { Volume = Ref(action.Term) }, Options(token));
        return ActionOutcome.Success($"{action.Node} has stopped serving");
    }

    private async Task<ActionOutcome> DeleteAsync(VolumeAction.DeleteReplica action, CancellationToken token)
    {
        await Client(action.Node).DeleteAsync(new DeleteRequest { Volume = Ref(action.Term) }, Options(token));
        return ActionOutcome.Success($"{action.Node}'s replica is deleted");
    }

    private async Task<ActionOutcome> DeleteRecordAsync(CancellationToken token)
    {
        await record.DeleteAsync(token);
        return ActionOutcome.Success("the record is deleted");
    }

    private PrepareRequest NewPrepare(long term, Role role) => new()
    {
        Volume = Ref(term),
        Name = volume.Metadata.Name,
        Namespace = volume.Metadata.Namespace,
        Role = role,
        SizeBytes = Spec.Size.Bytes,
        Pool = Spec.StoragePool,
        Buffer = new AgentApi.Buffer
        {
            Medium = Translate.ToAgent(Spec.Buffer.Medium),
            LimitBytes = Spec.Buffer.SizeLimit.Bytes,
            OnFull = Translate.ToAgent(Spec.Buffer.OnFull),
        },
        RecoveryPoint = Translate.ToAgent(Spec.EffectiveRecoveryPoint),
        Arbiter = options.Arbiter.ToAgent(),
        GuestTcp = options.GuestTcp,
        Resync = new Resync { MaxBytesPerSecond = Spec.Resync.MaxBytesPerSecond },
    };

    /// <summary>Where that node listens for replication, by its own word; asked anew where it was opened only a moment ago.</summary>
    private async Task<Peer> PeerAsync(string node, VolumeObservation seen, CancellationToken token)
    {
        string address = seen.Sights.GetValueOrDefault(node)?.Status?.ReplicationAddress ?? "";
        if (address.Length == 0)
        {
            StatusReply reply = await Client(node).StatusAsync(new StatusRequest(), Options(token));
            address = reply.Node?.ReplicationAddress ?? "";
        }

        return new Peer { Node = node, ReplicationAddress = address };
    }

    private VolumeRef Ref(long term) => new() { Uid = uid, Term = term };

    private AgentApi.Agent.AgentClient Client(string node) => agents.Client(node);

    private CallOptions Options(CancellationToken token) => new(deadline: DateTime.UtcNow + options.CallBound, cancellationToken: token);
}
