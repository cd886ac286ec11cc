using System.Security.Cryptography.X509Certificates;
using Colo.AgentApi;
using Grpc.Core;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.AspNetCore.Server.Kestrel.Https;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace Colo.Driver.Tests;

/// <summary>An agent that says what a test wants: an older version without heartbeats, one whose streams are all taken, one with a certificate.</summary>
internal sealed class FakeAgent : IAsyncDisposable
{
    private readonly WebApplication app;

    private FakeAgent(WebApplication app) => this.app = app;

    public string Address => app.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.Single().Split("//")[1];

    public FakeService Service => app.Services.GetRequiredService<FakeService>();

    public static async Task<FakeAgent> StartAsync(int apiLevel, X509Certificate2? certificate = null)
    {
        WebApplicationBuilder builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.Services.AddGrpc();
        builder.Services.AddSingleton(new FakeService(apiLevel));
        builder.WebHost.ConfigureKestrel(kestrel => kestrel.Listen(System.Net.IPAddress.Loopback, 0, listen =>
        {
            listen.Protocols = HttpProtocols.Http2;
            if (certificate is not null)
            {
                listen.UseHttps(certificate, https =>
                {
                    https.ClientCertificateMode = ClientCertificateMode.RequireCertificate;
                    https.ClientCertificateValidation = (_, _, _) => true;
                });
            }
        }));
        if (certificate is not null)
        {
            builder.WebHost.UseKestrelHttpsConfiguration();
        }

        WebApplication app = builder.Build();
        app.MapGrpcService<FakeService>();
        await app.StartAsync();
        return new(app);
    }

    public ValueTask DisposeAsync() => app.DisposeAsync();
}

internal sealed class FakeService(int apiLevel) : AgentApi.Agent.AgentBase
{
    private int streams;
    private int polls;

    public int Streams => Volatile.Read(ref streams);

    public int Polls => Volatile.Read(ref polls);

    public bool NoStreamLeft { get; set; }

    public IReadOnlyList<VolumeStatus> Volumes { get; set; } = [];

    public override Task<StatusReply> Status(StatusRequest request, ServerCallContext context)
    {
        Interlocked.Increment(ref polls);
        return Task.FromResult(new StatusReply { Node = Node(), Volumes = { Volumes.Where(v => request.Uid.Length == 0 || v.Uid == request.Uid) } });
    }

    public override async Task Watch(WatchRequest request, IServerStreamWriter<WatchEvent> responseStream, ServerCallContext context)
    {
        Interlocked.Increment(ref streams);
        if (NoStreamLeft)
        {
            throw new RpcException(new Status(StatusCode.ResourceExhausted, "64 streams of Watch are open"));
        }

        while (true)
        {
            if (apiLevel >= 2)
            {
                await responseStream.WriteAsync(new WatchEvent { Node = Node() }, context.CancellationToken);
            }

            await Task.Delay(TimeSpan.FromMilliseconds(200), context.CancellationToken);
        }
    }

    private NodeStatus Node() => new() { Node = "fake", ApiLevel = apiLevel, ReplicationAddress = "127.0.0.1:1" };
}
