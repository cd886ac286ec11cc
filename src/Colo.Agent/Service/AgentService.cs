using Colo.Agent.Options;
using Colo.Agent.Volumes;
using Colo.AgentApi;
using Grpc.Core;

namespace Colo.Agent.Service;

/// <summary>The gRPC face of the agent: parses, calls, translates refusals. Decides nothing.</summary>
public sealed class AgentService(
    IVolumes volumes,
    PrepareParser parser,
    StatusBoard board,
    NodeReport node,
    IHostApplicationLifetime lifetime,
    AgentOptions options,
    TimeProvider time,
    ILogger<AgentService> log) : Colo.AgentApi.Agent.AgentBase
{
    /// <summary>Of a Watch: well below the time after which a control plane takes silence for death.</summary>
    private static readonly TimeSpan HeartbeatInterval = TimeSpan.FromSeconds(1);

    public override Task<PrepareReply> Prepare(PrepareRequest request, ServerCallContext context) => Guard(context, async () =>
    {
        (VolumeStatus status, bool created) = await volumes.PrepareAsync(
            parser.Parse(request),
            PrepareParser.Or(request.Create, CreatePolicy.Unspecified, "create"),
            context.CancellationToken);
        return new PrepareReply { Status = status, Created = created };
    });

    public override Task<VolumeStatus> Start(StartRequest request, ServerCallContext context) => Guard(context, () =>
        volumes.StartAsync(
            PrepareParser.ParseRef(request.Volume),
            PrepareParser.ParsePeer(request.Peer),
            PrepareParser.Or(request.Resync, ResyncMode.Unspecified, "resync"),
            context.CancellationToken));

    public override Task<CheckpointReply> Checkpoint(CheckpointRequest request, ServerCallContext context) => Guard(context, () =>
        volumes.CheckpointAsync(PrepareParser.ParseRef(request.Volume), context.CancellationToken));

    public override Task<GetErrorReply> GetError(GetErrorRequest request, ServerCallContext context) => Guard(context, () =>
        Task.FromResult(new GetErrorReply { Error = volumes.GetError(PrepareParser.ParseRef(request.Volume)) }));

    public override Task<VolumeStatus> Stop(StopRequest request, ServerCallContext context) => Guard(context, () =>
        volumes.StopAsync(
            PrepareParser.ParseRef(request.Volume),
            request.Failover,
            PrepareParser.Or(request.RecoveryPoint, RecoveryPoint.Unspecified, "recovery_point"),
            context.CancellationToken));

    public override Task<VolumeStatus> AttachSecondary(AttachSecondaryRequest request, ServerCallContext context) => Guard(context, () =>
        volumes.AttachSecondaryAsync(
            PrepareParser.ParseRef(request.Volume),
            PrepareParser.ParsePeer(request.Peer),
            PrepareParser.Or(request.Resync, ResyncMode.Unspecified, "resync"),
            request.Wait,
            context.CancellationToken));

    public override Task<VolumeStatus> DetachSecondary(DetachSecondaryRequest request, ServerCallContext context) => Guard(context, () =>
        volumes.DetachSecondaryAsync(PrepareParser.ParseRef(request.Volume), context.CancellationToken));

    public override Task<ReleaseReply> Release(ReleaseRequest request, ServerCallContext context) => Guard(context, async () =>
    {
        await volumes.ReleaseAsync(PrepareParser.ParseRef(request.Volume), context.CancellationToken);
        return new ReleaseReply();
    });

    public override Task<DeleteReply> Delete(DeleteRequest request, ServerCallContext context) => Guard(context, async () =>
    {
        await volumes.DeleteAsync(PrepareParser.ParseRef(request.Volume), context.CancellationToken);
        return new DeleteReply();
    });

    public override Task<StatusReply> Status(StatusRequest request, ServerCallContext context) => Guard(context, () =>
    {
        string uid = request.Uid.Length == 0 ? "" : PrepareParser.ParseUid(request.Uid);
        return Task.FromResult(new StatusReply { Volumes = { volumes.Status(uid) }, Node = node.Now() });
    });

    public override Task Watch(WatchRequest request, IServerStreamWriter<WatchEvent> responseStream, ServerCallContext context) =>
        Guard(context, async () =>
        {
            string uid = request.Uid.Length == 0 ? "" : PrepareParser.ParseUid(request.Uid);
            using StatusBoard.Watcher watcher = board.TryWatch(uid, options.Limits.MaxWatchers)
                ?? throw new VolumeFaultException(
                    VolumeFaultKind.Exhausted, $"{options.Limits.MaxWatchers} streams of Watch are open (Limits:MaxWatchers)");
            using CancellationTokenSource end = CancellationTokenSource.CreateLinkedTokenSource(context.CancellationToken);
            using PeriodicTimer heartbeat = new(HeartbeatInterval, time);
            Task stopping = Task.Delay(Timeout.InfiniteTimeSpan, lifetime.ApplicationStopping);
            await responseStream.WriteAsync(new WatchEvent { Node = node.Now() }, end.Token);
            Task<IReadOnlyList<WatchEvent>> changes = watcher.NextAsync(end.Token).AsTask();
            Task<bool> beat = heartbeat.WaitForNextTickAsync(end.Token).AsTask();
            while (!stopping.IsCompleted)
            {
                // A stream of changes holds no heartbeat back, because what is due is looked at in turn.
                await Task.WhenAny(changes, beat, stopping);
                if (beat.IsCompleted)
                {
                    await beat;
                    await responseStream.WriteAsync(new WatchEvent { Node = node.Now() }, end.Token);
                    beat = heartbeat.WaitForNextTickAsync(end.Token).AsTask();
                }

                if (changes.IsCompleted)
                {
                    foreach (WatchEvent change in await changes)
                    {
                        await responseStream.WriteAsync(change, end.Token);
                    }

                    changes = watcher.NextAsync(end.Token).AsTask();
                }
            }

            // A stream that stayed open would keep the process for as long as it may take to end, and its guests without their disks.
            await responseStream.WriteAsync(new WatchEvent { Node = node.Now() }, end.Token);
            await end.CancelAsync();
            return true;
        });

    private async Task<T> Guard<T>(ServerCallContext context, Func<Task<T>> call)
    {
        try
        {
            return await call();
        }
        catch (Exception e) when (FaultMapping.IsExpected(e))
        {
            VolumeFaultException fault = FaultMapping.ToFault(e);
            log.CallRefused(context.Method, fault.Kind, fault.Message);
            throw new RpcException(new Status(ToStatusCode(fault.Kind), fault.Message));
        }
        catch (OperationCanceledException) when (context.CancellationToken.IsCancellationRequested)
        {
            throw new RpcException(new Status(StatusCode.Cancelled, "the caller went away"));
        }
        catch (Exception e) when (e is not RpcException)
        {
            log.CallFailed(e, context.Method);
            throw new RpcException(new Status(StatusCode.Internal, $"{e.GetType().Name}: {e.Message}"));
        }
    }

    private static StatusCode ToStatusCode(VolumeFaultKind kind) => kind switch
    {
        VolumeFaultKind.StaleTerm or VolumeFaultKind.Precondition => StatusCode.FailedPrecondition,
        VolumeFaultKind.NotFound => StatusCode.NotFound,
        VolumeFaultKind.InvalidArgument => StatusCode.InvalidArgument,
        VolumeFaultKind.AlreadyExists => StatusCode.AlreadyExists,
        VolumeFaultKind.Unavailable => StatusCode.Unavailable,
        VolumeFaultKind.Exhausted => StatusCode.ResourceExhausted,
        VolumeFaultKind.Damaged => StatusCode.DataLoss,
        VolumeFaultKind.Failed => StatusCode.Aborted,
        _ => StatusCode.Internal,
    };
}
