using Colo.Operator.Hosting;
using Colo.Operator.Options;

// colo-operator: drives the ReplicatedVolumes of a cluster. The map:
//   configuration and its checks   Options/
//   composition, health            Hosting/
return args switch
{
    ["--help" or "-h"] => Help(),
    _ => await RunAsync(args),
};

static int Help()
{
    Console.WriteLine(OperatorConfiguration.Usage);
    return 0;
}

static async Task<int> RunAsync(string[] args)
{
    try
    {
        await using WebApplication app = OperatorHost.Build(args);
        await app.RunAsync();
        return Environment.ExitCode;
    }
    catch (Exception e) when (e is ArgumentException or OperatorOptionsException or IOException)
    {
        await Console.Error.WriteLineAsync($"colo-operator: {e.Message}");
        return 1;
    }
}
