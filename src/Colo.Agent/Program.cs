using Colo.Agent.Hosting;

// colo-agent: holds the replicas of one node. The map:
//   configuration and its checks   Options/
//   listeners, TLS, health         Hosting/
//   the API server, the Lease      Cluster/
//   pools and their probes         Pools/
//   replicas: life, files, NBD     Volumes/
//   the gRPC face and Watch        Service/
//   /metrics                       Metrics/
if (args is ["--help" or "-h"])
{
    Console.WriteLine(Colo.Agent.Options.AgentConfiguration.Usage);
    return 0;
}

try
{
    WebApplication app = AgentHost.Build(args);
    await app.RunAsync();
    return Environment.ExitCode;
}
catch (Exception e) when (e is ArgumentException or Microsoft.Extensions.Options.OptionsValidationException or IOException)
{
    Console.Error.WriteLine($"colo-agent: {e.Message}");
    return 1;
}
