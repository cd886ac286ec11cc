using Colo.Operator.Crd;
using Colo.Operator.Hosting;
using Colo.Operator.Options;

// colo-operator: drives the ReplicatedVolumes of a cluster. The map:
//   configuration and its checks   Options/
//   composition, health            Hosting/
//   colo-operator crd              Crd/ (prints crds/colo.dev_replicatedvolumes.yaml; --without-rules: that of older servers)
return args switch
{
    ["--help" or "-h"] => Help(),
    ["crd"] => Crd(withRules: true),
    ["crd", "--without-rules"] => Crd(withRules: false),
    _ => await RunAsync(args),
};

static int Help()
{
    Console.WriteLine(OperatorConfiguration.Usage);
    return 0;
}

static int Crd(bool withRules)
{
    Console.Out.Write(ReplicatedVolumeCrd.ToYaml(withRules));
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
