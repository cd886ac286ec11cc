using Colo.Operator.Crd;
using Colo.Operator.Hosting;
using Colo.Operator.Options;

// colo-operator: drives the ReplicatedVolumes of a cluster. The map:
//   configuration and its checks   Options/
//   composition, health            Hosting/
//   colo-operator crd              Crd/ (prints crds/colo.dev_replicatedvolumes.yaml)
return args switch
{
    ["--help" or "-h"] => Help(),
    ["crd"] => Crd(),
    _ => await RunAsync(args),
};

static int Help()
{
    Console.WriteLine(OperatorConfiguration.Usage);
    return 0;
}

static int Crd()
{
    Console.Out.Write(ReplicatedVolumeCrd.ToYaml());
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
