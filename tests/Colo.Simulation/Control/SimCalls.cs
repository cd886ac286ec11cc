using Colo.AgentApi;
using Colo.Simulation.Engine;
using Colo.Simulation.World;
using Grpc.Core;

namespace Colo.Simulation.Control;

/// <summary>gRPC calls of one process to agents, over the simulated network: late, lost on the way there or back, refused by nobody.</summary>
internal sealed class SimCalls(SimProcess from, string node, SimWorld world)
{
    private static readonly TimeSpan CallBound = TimeSpan.FromSeconds(30);

    public Client To(string other) => new(this, other);

    public async Task<T> CallAsync<T>(string other, object request, TimeSpan bound, CancellationToken token)
    {
        Engine.Engine engine = from.Engine;
        SimNetwork network = world.Network;
        TaskCompletionSource<object> answer = new();
        if (!network.IsCut(node, other))
        {
            engine.After(network.Delay(node, other), () =>
            {
                if (world.Machine(other).Agent is not { Process.IsDead: false } agent)
                {
                    Answer(() => answer.TrySetException(new RpcException(new Status(StatusCode.Unavailable, "connection refused"))));
                    return;
                }

                agent.Process.Do(() => world.Own(agent.Process, HandleAsync(agent)));
            });
        }

        if (request is not (StatusRequest or CheckpointRequest) && world.CallDice.Chance(world.RepeatsCalls))
        {
            // Of a caller that asked again, or of a connection that was slow to give up: whenever it comes, nobody waits for its answer.
            // (Two checkpoints are two.)
            engine.After(world.CallDice.Between(TimeSpan.Zero, world.CallDice.Chance(0.3) ? TimeSpan.FromSeconds(20) : TimeSpan.FromSeconds(1)), Repeat);
        }

        engine.After(bound, () => from.Do(() => answer.TrySetException(new RpcException(new Status(StatusCode.DeadlineExceeded, "no answer")))));
        try
        {
            return (T)await answer.Task.WaitAsync(token);
        }
        catch (OperationCanceledException e)
        {
            throw new RpcException(new Status(StatusCode.Cancelled, e.Message));
        }

        void Repeat()
        {
            if (world.Machine(other) is { IsRunning: true, Agent: { } agent })
            {
                world.Trace.Say($"{agent.Process} is called a second time: {request.GetType().Name}");
                world.Coverage.Count($"case:call repeated {request.GetType().Name}");
                agent.Process.Do(() => world.Own(agent.Process, IgnoredAsync(agent)));
            }
        }

        async Task IgnoredAsync(Agents.SimAgent agent)
        {
            try
            {
                await agent.HandleAsync(request, CancellationToken.None);
            }
            catch (RpcException)
            {
                // Refused, and nobody hears it.
            }
        }

        void Answer(Action what)
        {
            if (!network.IsCut(other, node))
            {
                engine.After(network.Delay(other, node), () => from.Do(what));
            }
        }

        async Task HandleAsync(Agents.SimAgent agent)
        {
            try
            {
                // The server learns of a caller that has gone, as gRPC tells it.
                object reply = await agent.HandleAsync(request, token);
                if (!agent.Process.IsDead)
                {
                    Answer(() => answer.TrySetResult(reply));
                }
            }
            catch (RpcException e) when (!agent.Process.IsDead)
            {
                Answer(() => answer.TrySetException(e));
            }
        }
    }

    /// <summary>The generated client, with the network below it.</summary>
    internal sealed class Client(SimCalls calls, string other) : AgentApi.Agent.AgentClient
    {
        public override AsyncUnaryCall<PrepareReply> PrepareAsync(PrepareRequest request, CallOptions options) => Call<PrepareReply>(request, options);

        public override AsyncUnaryCall<VolumeStatus> StartAsync(StartRequest request, CallOptions options) => Call<VolumeStatus>(request, options);

        public override AsyncUnaryCall<CheckpointReply> CheckpointAsync(CheckpointRequest request, CallOptions options) =>
            Call<CheckpointReply>(request, options);

        public override AsyncUnaryCall<VolumeStatus> StopAsync(StopRequest request, CallOptions options) => Call<VolumeStatus>(request, options);

        public override AsyncUnaryCall<VolumeStatus> AttachSecondaryAsync(AttachSecondaryRequest request, CallOptions options) =>
            Call<VolumeStatus>(request, options);

        public override AsyncUnaryCall<VolumeStatus> DetachSecondaryAsync(DetachSecondaryRequest request, CallOptions options) =>
            Call<VolumeStatus>(request, options);

        public override AsyncUnaryCall<ReleaseReply> ReleaseAsync(ReleaseRequest request, CallOptions options) => Call<ReleaseReply>(request, options);

        public override AsyncUnaryCall<DeleteReply> DeleteAsync(DeleteRequest request, CallOptions options) => Call<DeleteReply>(request, options);

        public override AsyncUnaryCall<StatusReply> StatusAsync(StatusRequest request, CallOptions options) => Call<StatusReply>(request, options);

        private AsyncUnaryCall<T> Call<T>(object request, CallOptions options) => new(
            calls.CallAsync<T>(other, request, CallBound, options.CancellationToken),
            Task.FromResult(new Metadata()),
            static () => Grpc.Core.Status.DefaultSuccess,
            static () => [],
            static () => { });
    }
}
