using Colo.AgentApi;
using Grpc.Core;
using Grpc.Net.Client;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace Colo.Operator.Tests.Kit;

/// <summary>What an agent of level 1 looks like from outside: a real one behind a relay that takes away what level 2 added, the heartbeats above all.</summary>
internal sealed class OlderAgent : IAsyncDisposable
{
    private readonly WebApplication app;

    private OlderAgent(WebApplication app) => this.app = app;

    public int Port => new Uri(app.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.Single()).Port;

    /// <param name="agentPort">Of the real one, asked for at each call: it may not be known yet.</param>
    public static async Task<OlderAgent> StartAsync(Func<int> agentPort)
    {
        WebApplicationBuilder builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.Services.AddGrpc();
        builder.Services.AddSingleton(new Relay(agentPort));
        builder.WebHost.ConfigureKestrel(kestrel => kestrel.Listen(System.Net.IPAddress.Loopback, 0, listen => listen.Protocols = HttpProtocols.Http2));
        WebApplication app = builder.Build();
        app.MapGrpcService<Relay>();
        await app.StartAsync();
        return new(app);
    }

    public ValueTask DisposeAsync() => app.DisposeAsync();

    private sealed class Relay(Func<int> agentPort) : AgentApi.Agent.AgentBase, IDisposable
    {
        private readonly Lazy<GrpcChannel> channel = new(() => GrpcChannel.ForAddress($"http://127.0.0.1:{agentPort()}"));

        private AgentApi.Agent.AgentClient Real => new(channel.Value);

        public override async Task<PrepareReply> Prepare(PrepareRequest request, ServerCallContext context) =>
            await Real.PrepareAsync(request, cancellationToken: context.CancellationToken);

        public override async Task<VolumeStatus> Start(StartRequest request, ServerCallContext context) =>
            await Real.StartAsync(request, cancellationToken: context.CancellationToken);

        public override async Task<CheckpointReply> Checkpoint(CheckpointRequest request, ServerCallContext context) =>
            await Real.CheckpointAsync(request, cancellationToken: context.CancellationToken);

        public override async Task<GetErrorReply> GetError(GetErrorRequest request, ServerCallContext context) =>
            await Real.GetErrorAsync(request, cancellationToken: context.CancellationToken);

        public override async Task<VolumeStatus> Stop(StopRequest request, ServerCallContext context) =>
            await Real.StopAsync(request, cancellationToken: context.CancellationToken);

        public override async Task<VolumeStatus> AttachSecondary(AttachSecondaryRequest request, ServerCallContext context) =>
            await Real.AttachSecondaryAsync(request, cancellationToken: context.CancellationToken);

        public override async Task<VolumeStatus> DetachSecondary(DetachSecondaryRequest request, ServerCallContext context) =>
            await Real.DetachSecondaryAsync(request, cancellationToken: context.CancellationToken);

        public override async Task<ReleaseReply> Release(ReleaseRequest request, ServerCallContext context) =>
            await Real.ReleaseAsync(request, cancellationToken: context.CancellationToken);

        public override async Task<DeleteReply> Delete(DeleteRequest request, ServerCallContext context) =>
            await Real.DeleteAsync(request, cancellationToken: context.CancellationToken);

        public override async Task<StatusReply> Status(StatusRequest request, ServerCallContext context)
        {
            StatusReply reply = await Real.StatusAsync(request, cancellationToken: context.CancellationToken);
            reply.Node.ApiLevel = 0;
            return reply;
        }

        public override async Task Watch(WatchRequest request, IServerStreamWriter<WatchEvent> responseStream, ServerCallContext context)
        {
            using AsyncServerStreamingCall<WatchEvent> call = Real.Watch(request, cancellationToken: context.CancellationToken);
            while (await call.ResponseStream.MoveNext(context.CancellationToken))
            {
                if (call.ResponseStream.Current.EventCase != WatchEvent.EventOneofCase.Node)
                {
                    await responseStream.WriteAsync(call.ResponseStream.Current, context.CancellationToken);
                }
            }
        }

        public void Dispose()
        {
            if (channel.IsValueCreated)
            {
                channel.Value.Dispose();
            }
        }
    }
}
