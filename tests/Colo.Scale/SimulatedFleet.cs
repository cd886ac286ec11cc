using System.Collections.Concurrent;
using System.Diagnostics;
using Colo.AgentApi;
using Colo.Testing;
using k8s;
using k8s.Models;
using Microsoft.AspNetCore.Server.Kestrel.Core;

namespace Colo.Scale;

/// <summary>All simulated nodes: their listeners (one web host, a port a node), their Leases, renewed every second as agents do.</summary>
internal sealed class SimulatedFleet : IAsyncDisposable
{
    public const string Namespace = "colo-system";

    private readonly Dictionary<int, SimulatedNode> byPort = [];
    private readonly ConcurrentDictionary<string, (string Node, long At)> served = new(StringComparer.Ordinal);
    private readonly CancellationTokenSource stop = new();
    private readonly IKubernetes client;
    private readonly List<Task> running = [];
    private WebApplication? host;

    public SimulatedFleet(IKubernetes client, int nodes)
    {
        this.client = client;
        for (int i = 0; i < nodes; i++)
        {
            int port = LoopbackPort.FindFree();
            while (byPort.ContainsKey(port))
            {
                port = LoopbackPort.FindFree();
            }

            byPort.Add(port, new SimulatedNode(string.Create(null, $"node-{i:000}"), string.Create(null, $"127.0.0.1:{port}"), this));
        }

        Nodes = [.. byPort.Values.OrderBy(n => n.Name, StringComparer.Ordinal)];
    }

    public IReadOnlyList<SimulatedNode> Nodes { get; }

    public SimulatedNode AtPort(int port) => byPort[port];

    /// <summary>Volumes that were promoted, where and when (Stopwatch ticks).</summary>
    public IReadOnlyDictionary<string, (string Node, long At)> Promotions => served;

    public async Task StartAsync()
    {
        WebApplicationBuilder builder = WebApplication.CreateSlimBuilder(new WebApplicationOptions { Args = ["--hostBuilder:reloadConfigOnChange=false"] });
        builder.Logging.ClearProviders();
        builder.Services.AddGrpc();
        builder.Services.AddSingleton(this);
        builder.WebHost.ConfigureKestrel(kestrel =>
        {
            foreach (int port in byPort.Keys)
            {
                kestrel.ListenLocalhost(port, listen => listen.Protocols = HttpProtocols.Http2);
            }
        });
        host = builder.Build();
        host.MapGrpcService<SimulatedAgentService>();
        await host.StartAsync();
        await Parallel.ForEachAsync(Nodes, CreateAsync);
        running.AddRange(Nodes.Select(n => KeepLeaseAsync(n, stop.Token)));
    }

    public void Served(string uid, string node) => served[uid] = (node, Stopwatch.GetTimestamp());

    public void PeerDied(string node) => running.Add(Task.WhenAll(Nodes.Where(n => !n.IsDead).Select(n => n.LosePeerAsync(node))));

    /// <summary>What a primary records of its secondary.</summary>
    /// <returns>False: the term is over.</returns>
    public async Task<bool> RecordAsync(string @namespace, string name, string uid, long term, SecondaryState state)
    {
        VolumeRecordObject record = new(client, @namespace, name, uid);
        while (true)
        {
            if (await record.ReadAsync(stop.Token) is not { } current || current.Term != term)
            {
                return false;
            }

            if (current.SecondaryState == state || (await record.TryReplaceAsync(current, current with { SecondaryState = state }, stop.Token)).Done)
            {
                return true;
            }
        }
    }

    public async ValueTask DisposeAsync()
    {
        await stop.CancelAsync();
        await Task.WhenAll(running).ContinueWith(_ => { }, CancellationToken.None, TaskContinuationOptions.None, TaskScheduler.Default);
        if (host is not null)
        {
            await host.DisposeAsync();
        }

        stop.Dispose();
    }

    private async ValueTask CreateAsync(SimulatedNode node, CancellationToken token)
    {
        await client.CoreV1.CreateNodeAsync(
            new V1Node { Metadata = new() { Name = node.Name, Labels = new Dictionary<string, string> { ["kubernetes.io/hostname"] = node.Name } } },
            cancellationToken: token);
        await client.CoordinationV1.CreateNamespacedLeaseAsync(Lease(node, null), Namespace, cancellationToken: token);
    }

    private async Task KeepLeaseAsync(SimulatedNode node, CancellationToken token)
    {
        using CancellationTokenSource end = CancellationTokenSource.CreateLinkedTokenSource(token, node.PowerLost);
        using PeriodicTimer timer = new(TimeSpan.FromSeconds(1));
        V1Lease lease = await client.CoordinationV1.ReadNamespacedLeaseAsync("colo-agent-" + node.Name, Namespace, cancellationToken: token);
        while (!end.IsCancellationRequested)
        {
            try
            {
                await timer.WaitForNextTickAsync(end.Token);
                node.Beat();
                lease = await client.CoordinationV1.ReplaceNamespacedLeaseAsync(
                    Lease(node, lease.Metadata.ResourceVersion), "colo-agent-" + node.Name, Namespace, cancellationToken: end.Token);
            }
            catch (OperationCanceledException)
            {
                return;
            }
        }
    }

    private static V1Lease Lease(SimulatedNode node, string? version) => new()
    {
        Metadata = new()
        {
            Name = "colo-agent-" + node.Name,
            NamespaceProperty = Namespace,
            ResourceVersion = version,
            Labels = new Dictionary<string, string> { ["app.kubernetes.io/name"] = "colo-operator", ["app.kubernetes.io/component"] = "agent" },
            Annotations = new Dictionary<string, string>
            {
                ["colo.dev/grpc-address"] = node.Address,
                ["colo.dev/replication-address"] = node.Address,
                ["colo.dev/version"] = "simulated",
                ["colo.dev/agent-instance"] = node.Instance,
            },
        },
        Spec = new() { HolderIdentity = node.Name, LeaseDurationSeconds = 3, RenewTime = DateTime.UtcNow },
    };
}
