using System.Security.Cryptography;
using Colo.Agent.Cluster;
using Colo.Agent.Metrics;
using Colo.Agent.Options;
using Colo.Agent.Pools;
using Colo.Agent.Service;
using Colo.Agent.Volumes;
using Microsoft.AspNetCore.Diagnostics.HealthChecks;
using Microsoft.Extensions.Diagnostics.HealthChecks;
using Microsoft.Extensions.Options;
using Prometheus;

namespace Colo.Agent.Hosting;

/// <summary>Composes the process: one Add a module, then the endpoints.</summary>
public static class AgentHost
{
    /// <exception cref="ArgumentException">an argument is none.</exception>
    /// <exception cref="OptionsValidationException">the configuration cannot work; every message names its key.</exception>
    public static WebApplication Build(IReadOnlyList<string> arguments)
    {
        // The host would watch everything below its content root for a changed appsettings.json: were a pool below it, each guest
        // write would wake the watcher (at queue depth 1 that halved the rate).
        WebApplicationBuilder builder = WebApplication.CreateSlimBuilder(new WebApplicationOptions
        {
            ApplicationName = "colo-agent",
            ContentRootPath = AppContext.BaseDirectory,
            Args = ["--hostBuilder:reloadConfigOnChange=false"],
        });
        AgentOptions options = builder.AddAgentOptions(arguments);
        builder.AddCluster(options);
        builder.AddAgentLogging(options);
        builder.AddAgentListeners(options);
        builder.AddPools();
        builder.AddVolumes();
        builder.AddAgentService();
        builder.AddAgentMetrics();
        builder.AddAgentHealth();

        WebApplication app = builder.Build();
        app.MapGrpcService<AgentService>();
        app.MapGrpcHealthChecksService();
        app.MapGrpcReflectionService();
        app.MapMetrics("/metrics", app.Services.GetRequiredService<CollectorRegistry>());
        app.MapHealthChecks("/readyz");
        app.MapHealthChecks("/healthz", new HealthCheckOptions { Predicate = _ => false });
        RequireCertificates(options.Tls, app.Services.GetRequiredService<CertificateFiles>());
        app.Services.GetRequiredService<AgentMetrics>().Register();
        app.Services.GetRequiredService<NodeMetrics>().Register();
        return app;
    }

    /// <summary>A set that never was one is a mistake of who installs; one that goes bad later is not.</summary>
    private static void RequireCertificates(TlsOptions tls, CertificateFiles certificates)
    {
        try
        {
            _ = tls.IsEnabled && !tls.AsksForCertificate ? certificates.Current : null;
        }
        catch (CryptographicException e)
        {
            throw new ArgumentException($"Tls (--tls-directory): {e.Message}", e);
        }
    }

    private static AgentOptions AddAgentOptions(this WebApplicationBuilder builder, IReadOnlyList<string> arguments)
    {
        // Only what an agent documents: no appsettings.json of the working directory, no ASPNETCORE_ variables.
        builder.Configuration.Sources.Clear();
        builder.Configuration.AddAgentConfiguration(arguments);
        AgentOptions options = builder.Configuration.Get<AgentOptions>() ?? new();
        ValidateOptionsResult result = new AgentOptionsValidator().Validate(null, options);
        if (result.Failed)
        {
            throw new OptionsValidationException(nameof(AgentOptions), typeof(AgentOptions), result.Failures!);
        }

        builder.Services.AddSingleton(options).AddSingleton(options.Tls).AddSingleton(TimeProvider.System);
        builder.Services.Configure<HostOptions>(host =>
            host.ShutdownTimeout = TimeSpan.FromSeconds(options.Limits.ShutdownSeconds + 5));
        return options;
    }

    private static void AddAgentLogging(this WebApplicationBuilder builder, AgentOptions options)
    {
        builder.Logging.ClearProviders();
        builder.Logging.AddFilter("Microsoft", LogLevel.Warning);
        builder.Logging.AddFilter("Grpc", LogLevel.Warning);
        if (options.LogFormat == "json")
        {
            builder.Logging.AddJsonConsole(console => console.UseUtcTimestamp = true);
        }
        else
        {
            builder.Logging.AddSimpleConsole(console =>
            {
                console.SingleLine = true;
                console.UseUtcTimestamp = true;
                console.TimestampFormat = "yyyy-MM-ddTHH:mm:ss.fffZ ";
            });
        }
    }

    private static void AddCluster(this WebApplicationBuilder builder, AgentOptions options)
    {
        ClusterAccess cluster = ClusterAccess.Open(options);
        builder.Services.AddSingleton(cluster);
        if (options.Tls.AsksForCertificate && !cluster.IsEnabled)
        {
            throw new ArgumentException("Tls:Signer (--tls-signer): asks the Kubernetes API, which this agent is started without (--kubernetes)");
        }

        // The first service that is started: what listens needs it.
        builder.Services.AddHostedService<NodeCertificate>();
        builder.Services.AddSingleton(_ => AgentIdentity.Open(options));
        builder.Services.AddSingleton<RecordStores>();
        builder.Services.AddSingleton<NodeLease>();
        builder.Services.AddHostedService(services => services.GetRequiredService<NodeLease>());
    }

    private static void AddPools(this WebApplicationBuilder builder)
    {
        builder.Services.AddSingleton<PoolProbe>();
        builder.Services.AddHostedService(services => services.GetRequiredService<PoolProbe>());
    }

    private static void AddVolumes(this WebApplicationBuilder builder)
    {
        builder.Services.AddSingleton<CertificateFiles>();
        builder.Services.AddSingleton<PeerNames>();
        builder.Services.AddSingleton<ListenerRefusals>();
        builder.Services.AddSingleton<BoundAddresses>();
        builder.Services.AddSingleton<ReplicationExports>();
        builder.Services.AddSingleton<NbdListeners>();
        builder.Services.AddSingleton<VolumeParts>();
        builder.Services.AddSingleton<VolumeCatalog>();
        builder.Services.AddSingleton<IVolumes>(services => services.GetRequiredService<VolumeCatalog>());
        builder.Services.AddHostedService(services => services.GetRequiredService<VolumeCatalog>());
    }

    private static void AddAgentService(this WebApplicationBuilder builder)
    {
        builder.Services.AddGrpc(grpc =>
        {
            grpc.MaxReceiveMessageSize = ListenerLimits.MaxMessageBytes;
            grpc.Interceptors.Add<CallerCheck>();
        });
        builder.Services.AddGrpcReflection();
        builder.Services.AddSingleton<PrepareParser>();
        builder.Services.AddSingleton<NodeReport>();
        builder.Services.AddSingleton<StatusBoard>();
        builder.Services.AddHostedService<StatusPump>();
    }

    private static void AddAgentMetrics(this WebApplicationBuilder builder)
    {
        builder.Services.AddSingleton(_ => Prometheus.Metrics.NewCustomRegistry());
        builder.Services.AddSingleton<AgentMetrics>();
        builder.Services.AddSingleton<NodeMetrics>();
    }

    private static void AddAgentHealth(this WebApplicationBuilder builder)
    {
        builder.Services.AddGrpcHealthChecks().AddCheck<AgentHealth>("ready");
        builder.Services.Configure<HealthCheckPublisherOptions>(publisher =>
        {
            publisher.Delay = TimeSpan.FromSeconds(1);
            publisher.Period = TimeSpan.FromSeconds(5);
        });
    }
}
