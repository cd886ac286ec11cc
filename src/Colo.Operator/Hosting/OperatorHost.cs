using Colo.Driver;
using Colo.Kubernetes;
using Colo.Operator.Cluster;
using Colo.Operator.Events;
using Colo.Operator.Metrics;
using Colo.Operator.Options;
using Colo.Operator.Quiesce;
using Colo.Operator.Requests;
using Colo.Operator.Status;
using Colo.Operator.Tls;
using Colo.Operator.Volumes;
using k8s;
using Microsoft.AspNetCore.Diagnostics.HealthChecks;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Prometheus;

namespace Colo.Operator.Hosting;

/// <summary>Composes the process: one Add a module, then the endpoints.</summary>
public static class OperatorHost
{
    /// <param name="arguments">Of the command line.</param>
    /// <param name="replace">Lets a test put its own parts in place of these.</param>
    /// <exception cref="ArgumentException">an argument is none.</exception>
    /// <exception cref="OperatorOptionsException">the configuration cannot work.</exception>
    public static WebApplication Build(IReadOnlyList<string> arguments, Action<IServiceCollection>? replace = null)
    {
        OperatorOptions options = OperatorOptionsParser.Parse(
            OperatorConfiguration.Read(arguments, Environment.GetEnvironmentVariables()));

        // Nothing is configured by files that change: a watcher below the content root would only cost.
        WebApplicationBuilder builder = WebApplication.CreateSlimBuilder(new WebApplicationOptions
        {
            ApplicationName = "colo-operator",
            ContentRootPath = AppContext.BaseDirectory,
            Args = ["--hostBuilder:reloadConfigOnChange=false"],
        });

        // Only what the operator documents: no appsettings.json, no ASPNETCORE_ variables.
        builder.Configuration.Sources.Clear();
        builder.Services.AddSingleton(options).AddSingleton(TimeProvider.System);
        builder.AddOperatorLogging(options);
        builder.AddOperatorListener(options);
        builder.Services.AddCluster(options);
        builder.Services.AddAgents(options);
        builder.Services.AddVolumes();
        builder.Services.AddLeadership();
        replace?.Invoke(builder.Services);

        WebApplication app = builder.Build();
        app.MapMetrics("/metrics");
        app.MapHealthChecks("/readyz");
        app.MapHealthChecks("/healthz", new HealthCheckOptions { Predicate = _ => false });
        return app;
    }

    private static void AddCluster(this IServiceCollection services, OperatorOptions options)
    {
        services.AddSingleton<IKubernetes>(_ => KubernetesConnection.Open(KubernetesConnection.FindConfiguration(options.Kubeconfig)));
        services.AddSingleton(s => new WorkQueue("replicatedvolume", new WorkQueueOptions { MaxDelay = TimeSpan.FromSeconds(10) }, s.GetRequiredService<TimeProvider>()));
        services.AddSingleton<ClusterWatch>();
        services.AddSingleton<NodeBoard>();
        services.AddSingleton(s => new EventRecorder(
            s.GetRequiredService<IKubernetes>(), new EventRecorderOptions { Component = "colo-operator", Instance = options.Identity },
            s.GetRequiredService<TimeProvider>(), s.GetRequiredService<ILogger<EventRecorder>>()));
        services.AddSingleton<VolumeNotices>();
    }

    private static void AddAgents(this IServiceCollection services, OperatorOptions options)
    {
        if (options.Tls is { } files)
        {
            services.AddSingleton(files).AddSingleton<CertificateFiles>();
            services.AddSingleton(s => s.GetRequiredService<CertificateFiles>().ForAgents());
        }

        if (options.Signing is { } signing)
        {
            services.AddSingleton(signing).AddSingleton<CertificateDesk>();
        }

        services.AddSingleton(s => new AgentFeed(
            new AgentFeedOptions { Tls = s.GetService<AgentTls>() }, s.GetRequiredService<TimeProvider>(), s.GetRequiredService<ILogger<AgentFeed>>()));
        services.AddSingleton<IAgents>(s => s.GetRequiredService<AgentFeed>());
    }

    private static void AddVolumes(this IServiceCollection services)
    {
        services.AddSingleton(Prometheus.Metrics.DefaultRegistry);
        services.AddSingleton<VolumeMetrics>();
        services.AddSingleton<VolumeSessions>();
        services.AddSingleton<VolumeTeardown>();
        services.AddSingleton<StatusPublisher>();
        services.AddSingleton<RequestDesk>();
        services.AddSingleton<IGuestQuiesce, KubeVirtQuiesce>();
        services.AddSingleton<QuiescedCheckpoint>();
        services.AddSingleton<RoundReport>();
        services.AddSingleton<UnreachableAgents>();
        services.AddSingleton<VolumeWorker>();
    }

    private static void AddLeadership(this IServiceCollection services)
    {
        services.AddSingleton<LeaderElection>();
        services.AddHostedService<LeadingService>();
        services.AddHealthChecks().AddCheck<OperatorHealth>("ready");
        services.Configure<HostOptions>(host => host.ShutdownTimeout = TimeSpan.FromSeconds(10));
    }

    private static void AddOperatorListener(this WebApplicationBuilder builder, OperatorOptions options) =>
        builder.WebHost.ConfigureKestrel(kestrel =>
        {
            kestrel.AddServerHeader = false;
            MetricsLimits.Apply(kestrel.Limits);
            kestrel.Listen(options.MetricsListen, listen =>
            {
                listen.Protocols = HttpProtocols.Http1;
                listen.LimitConnections();
            });
        });

    private static void AddOperatorLogging(this WebApplicationBuilder builder, OperatorOptions options)
    {
        builder.Logging.ClearProviders();
        builder.Logging.AddFilter("Microsoft", LogLevel.Warning);
        builder.Logging.AddFilter("Grpc", LogLevel.Critical);
        builder.Logging.AddFilter("System.Net.Http", LogLevel.Warning);
        if (options.LogFormat == LogFormat.Json)
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
}
