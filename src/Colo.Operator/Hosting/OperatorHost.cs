using Colo.Operator.Options;
using Microsoft.AspNetCore.Server.Kestrel.Core;

namespace Colo.Operator.Hosting;

/// <summary>Composes the process: one Add a module, then the endpoints.</summary>
public static class OperatorHost
{
    /// <exception cref="ArgumentException">an argument is none.</exception>
    /// <exception cref="OperatorOptionsException">the configuration cannot work.</exception>
    public static WebApplication Build(IReadOnlyList<string> arguments)
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
        builder.WebHost.ConfigureKestrel(kestrel =>
        {
            kestrel.AddServerHeader = false;
            kestrel.Listen(options.MetricsListen, listen => listen.Protocols = HttpProtocols.Http1);
        });
        builder.Services.AddHealthChecks();

        WebApplication app = builder.Build();
        app.MapHealthChecks("/readyz");
        app.MapHealthChecks("/healthz");
        return app;
    }

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
