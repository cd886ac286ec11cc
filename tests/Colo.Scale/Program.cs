using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using Colo.Scale;
using Spectre.Console;

Option<int> volumes = new("--volumes") { DefaultValueFactory = _ => 2000, Description = "ReplicatedVolumes" };
Option<int> nodes = new("--nodes") { DefaultValueFactory = _ => 200, Description = "simulated nodes, an agent each" };
Option<int> victim = new("--victim-primaries") { DefaultValueFactory = _ => 20, Description = "primaries on the node that loses its power" };
Option<int> rest = new("--rest") { DefaultValueFactory = _ => 30, Description = "seconds to watch the operator at rest" };
RootCommand command = new("The operator at scale: a real API server and operator, simulated agents. Writes artifacts/scale/scale.json.")
{
    volumes, nodes, victim, rest,
};
command.SetAction(async (arguments, _) =>
{
    ScalePlan plan = new(arguments.GetValue(volumes), arguments.GetValue(nodes), arguments.GetValue(victim), arguments.GetValue(rest));
    ScaleResult result = await new ScaleRun(plan, line => Console.WriteLine($"{DateTime.UtcNow:HH:mm:ss} {line}")).RunAsync();
    Table table = new Table().Title($"{plan.Volumes} volumes on {plan.Nodes} nodes").AddColumns("measured", "value");
    void Row(string what, FormattableString value) => table.AddRow(what, value.ToString(CultureInfo.InvariantCulture));
    Row("all Protected after", $"{result.ConvergenceSeconds:0.0} s");
    Row("operator's API calls a volume until then", $"{result.ConvergenceApiCallsPerVolume:0.0}");
    Row("operator's CPU time until then", $"{result.ConvergenceCpuSeconds:0.0} s");
    Row("at rest: CPU", $"{result.RestCpuPercent:0.0} % of a core");
    Row("at rest: API calls", $"{result.RestApiCallsPerSecond:0.0} /s");
    Row("at rest: resident memory", $"{result.RestResidentBytes / (double)(1 << 20):0} MiB");
    Row("node lost: volumes failed over", $"{result.FailedOver}");
    Row("node lost: first, last served elsewhere after", $"{result.FirstFailoverSeconds:0.0} s, {result.LastFailoverSeconds:0.0} s");
    Row("node lost: operator's API calls a failover", $"{result.FailoverApiCallsPerVolume:0.0}");
    AnsiConsole.Write(table);
    Directory.CreateDirectory("artifacts/scale");
    await File.WriteAllTextAsync("artifacts/scale/scale.json", JsonSerializer.Serialize(result, new JsonSerializerOptions { WriteIndented = true }));
    return 0;
});
return await command.Parse(args).InvokeAsync();
