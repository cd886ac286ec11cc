using Colo.AgentApi;
using Grpc.Core;

namespace Colo.Scale;

/// <summary>The agents' gRPC service, of all nodes in one process: the port that a call came in by says which node is meant.</summary>
internal sealed class SimulatedAgentService(SimulatedFleet fleet) : AgentApi.Agent.AgentBase
{
    public override Task<PrepareReply> Prepare(PrepareRequest request, ServerCallContext context) => Task.FromResult(Node(context).Prepare(request));

    public override Task<VolumeStatus> Start(StartRequest request, ServerCallContext context) =>
        Node(context).StartAsync(request.Volume, request.Peer?.Node ?? "");

    public override Task<VolumeStatus> AttachSecondary(AttachSecondaryRequest request, ServerCallContext context) =>
        Node(context).StartAsync(request.Volume, request.Peer?.Node ?? "");

    public override Task<CheckpointReply> Checkpoint(CheckpointRequest request, ServerCallContext context) =>
        Task.FromResult(Node(context).Checkpoint(request.Volume));

    public override Task<VolumeStatus> Stop(StopRequest request, ServerCallContext context) => Task.FromResult(Node(context).Promote(request.Volume));

    public override Task<ReleaseReply> Release(ReleaseRequest request, ServerCallContext context)
    {
        Node(context).Forget(request.Volume.Uid);
        return Task.FromResult(new ReleaseReply());
    }

    public override Task<DeleteReply> Delete(DeleteRequest request, ServerCallContext context)
    {
        Node(context).Forget(request.Volume.Uid);
        return Task.FromResult(new DeleteReply());
    }

    public override Task<GetErrorReply> GetError(GetErrorRequest request, ServerCallContext context) => Task.FromResult(new GetErrorReply());

    public override Task<StatusReply> Status(StatusRequest request, ServerCallContext context) => Task.FromResult(Node(context).Status(request.Uid));

    public override async Task Watch(WatchRequest request, IServerStreamWriter<WatchEvent> responseStream, ServerCallContext context)
    {
        SimulatedNode node = Node(context);
        using CancellationTokenSource end = CancellationTokenSource.CreateLinkedTokenSource(context.CancellationToken, node.PowerLost);
        try
        {
            await node.WatchAsync(responseStream, end.Token);
        }
        catch (OperationCanceledException)
        {
            Hang(context, node);
        }
    }

    private SimulatedNode Node(ServerCallContext context)
    {
        SimulatedNode node = fleet.AtPort(context.GetHttpContext().Connection.LocalPort);
        Hang(context, node);
        return node;
    }

    private static void Hang(ServerCallContext context, SimulatedNode node)
    {
        if (node.IsDead)
        {
            context.GetHttpContext().Abort();
            throw new RpcException(new Status(StatusCode.Unavailable, $"{node.Name} has no power"));
        }
    }
}
