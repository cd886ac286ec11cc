using Colo.Agent.Cluster;
using Colo.Agent.Options;
using Colo.Agent.Pools;
using Colo.Agent.Service;
using Colo.AgentApi;
using Google.Protobuf;
using Grpc.Core;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging.Abstractions;

namespace Colo.Fuzz.Targets;

/// <summary>
/// Any bytes as the message of any call, through the agent's own service: its parsing, its checks, its translation of refusals. A request is
/// refused by name, or reaches the volumes as something that they may trust (<see cref="TrustingVolumes"/>). Never INTERNAL, which is what
/// the service makes of an exception that nobody foresaw. An input's first byte chooses the call.
/// </summary>
internal sealed class AgentRequestTarget : IFuzzTarget
{
    public const string TargetName = "agent-requests";

    private static readonly StatusCode[] Refusals =
    [
        StatusCode.InvalidArgument, StatusCode.NotFound, StatusCode.FailedPrecondition, StatusCode.ResourceExhausted, StatusCode.Cancelled,
    ];

    private readonly AgentService service;
    private readonly TrustingVolumes volumes;
    private readonly Func<byte[], Task>[] calls;
    private long refused;
    private long unreadable;

    public AgentRequestTarget()
    {
        AgentOptions options = new()
        {
            NodeName = "n",
            Pools = new() { ["default"] = "/dev/shm/colo-fuzz-pool", ["fast"] = "/dev/shm/colo-fuzz-fast" },
            ArbiterDirectory = "/dev/shm/colo-fuzz-records",
            GuestListen = "127.0.0.1:0",
            Kubernetes = "false",
        };
        volumes = new(options);
        FuzzLifetime lifetime = new();
        NodeReport node = new(
            options, AgentIdentity.Open(options), new BoundAddresses(), new PoolProbe(options, NullLogger<PoolProbe>.Instance), volumes, lifetime);
        service = new(
            volumes, new PrepareParser(options, ClusterAccess.Open(options)), new StatusBoard(), node, lifetime, options, TimeProvider.System,
            NullLogger<AgentService>.Instance);
        calls =
        [
            bytes => service.Prepare(PrepareRequest.Parser.ParseFrom(bytes), new FuzzCall()),
            bytes => service.Start(StartRequest.Parser.ParseFrom(bytes), new FuzzCall()),
            bytes => service.Checkpoint(CheckpointRequest.Parser.ParseFrom(bytes), new FuzzCall()),
            bytes => service.GetError(GetErrorRequest.Parser.ParseFrom(bytes), new FuzzCall()),
            bytes => service.Stop(StopRequest.Parser.ParseFrom(bytes), new FuzzCall()),
            bytes => service.AttachSecondary(AttachSecondaryRequest.Parser.ParseFrom(bytes), new FuzzCall()),
            bytes => service.DetachSecondary(DetachSecondaryRequest.Parser.ParseFrom(bytes), new FuzzCall()),
            bytes => service.Release(ReleaseRequest.Parser.ParseFrom(bytes), new FuzzCall()),
            bytes => service.Delete(DeleteRequest.Parser.ParseFrom(bytes), new FuzzCall()),
            bytes => service.Status(StatusRequest.Parser.ParseFrom(bytes), new FuzzCall()),
            bytes => WatchAsync(WatchRequest.Parser.ParseFrom(bytes)),
        ];
    }

    /// <summary>How many calls there are: one for each door of the service.</summary>
    public const int Calls = 11;

    public string Name => TargetName;

    public string Summary => $"{volumes.Trusted} trusted, {refused} refused by name, {unreadable} no message at all";

    public void Run(byte[] input)
    {
        if (input.Length == 0)
        {
            return;
        }

        try
        {
            calls[input[0] % Calls](input[1..]).GetAwaiter().GetResult();
        }
        catch (InvalidProtocolBufferException)
        {
            unreadable++; // gRPC answers this before the service sees anything
        }
        catch (RpcException e) when (Refusals.Contains(e.StatusCode))
        {
            refused++;
        }
    }

    public void Dispose()
    {
        foreach (string left in new[] { "/dev/shm/colo-fuzz-pool", "/dev/shm/colo-fuzz-fast" }.Where(Directory.Exists))
        {
            Directory.Delete(left, recursive: true);
        }
    }

    /// <summary>Its caller hears one event and hangs up.</summary>
    private async Task WatchAsync(WatchRequest request)
    {
        using CancellationTokenSource hangUp = new();
        await service.Watch(request, new OneEvent(hangUp), new FuzzCall(hangUp.Token));
    }

    private sealed class OneEvent(CancellationTokenSource hangUp) : IServerStreamWriter<WatchEvent>
    {
        public WriteOptions? WriteOptions { get; set; }

        public Task WriteAsync(WatchEvent message)
        {
            _ = message.CalculateSize();
            return hangUp.CancelAsync();
        }

        public Task WriteAsync(WatchEvent message, CancellationToken cancellationToken) => WriteAsync(message);
    }

    private sealed class FuzzLifetime : IHostApplicationLifetime
    {
        public CancellationToken ApplicationStarted => CancellationToken.None;

        public CancellationToken ApplicationStopping => CancellationToken.None;

        public CancellationToken ApplicationStopped => CancellationToken.None;

        public void StopApplication()
        {
            // Nothing runs.
        }
    }
}
