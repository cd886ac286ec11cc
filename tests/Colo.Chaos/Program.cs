using System.CommandLine;
using System.Globalization;
using Colo.Chaos;
using Colo.Testing.Local;
using Spectre.Console;

Option<int> rounds = new("--rounds") { DefaultValueFactory = _ => 20, Description = "rounds at most" };
Option<int?> seed = new("--seed") { Description = "of the schedule; another one each time where none is given" };
Option<int> first = new("--first-round") { DefaultValueFactory = _ => 0, Description = "begin with this round of the seed" };
Option<int> seconds = new("--seconds") { DefaultValueFactory = _ => 86_400, Description = "no round begins later than so long after the start" };
RootCommand command = new("Real agents, operator and API server, faults by a seed, a guest whose every write is checked. Root for links and disks.")
{
    rounds, seed, first, seconds,
};
command.SetAction(async (arguments, token) =>
{
    int seeded = arguments.GetValue(seed) ?? Random.Shared.Next();
    ChaosPlan plan = new(arguments.GetValue(rounds), seeded, arguments.GetValue(first), TimeSpan.FromSeconds(arguments.GetValue(seconds)));
    string logs = Path.Combine(Built.Repository, "artifacts", "chaos", string.Create(CultureInfo.InvariantCulture, $"{DateTime.UtcNow:HHmmss}-{seeded}"));
    Directory.CreateDirectory(logs);
    void Say(string line)
    {
        string stamped = string.Create(CultureInfo.InvariantCulture, $"{DateTime.UtcNow:HH:mm:ss.f} {line}");
        Console.WriteLine(stamped);
        File.AppendAllText(Path.Combine(logs, "rounds.log"), stamped + "\n");
    }

    Say(string.Create(CultureInfo.InvariantCulture, $"seed {seeded}"));
    Report report;
    try
    {
        report = await new ChaosRun(plan, logs, Say).RunAsync(token);
    }
    catch (OperationCanceledException)
    {
        Say("stopped; everything that was made is removed");
        return 130;
    }

    report.Print(AnsiConsole.Console);
    foreach (string wrong in report.Wrong)
    {
        Say("WRONG: " + wrong);
    }

    if (report.Wrong.Count == 0)
    {
        Say(report.IsStopped ? "stopped; everything that was made is removed" : "everything held");
        return report.IsStopped ? 130 : 0;
    }

    Say(string.Create(CultureInfo.InvariantCulture, $"FAILED in round {report.Round} of seed {seeded}; logs: {logs}"));
    Say(string.Create(CultureInfo.InvariantCulture, $"again: make chaos SEED={seeded} ROUNDS={report.Round + 1}"));
    return 1;
});

// Ctrl-C: time to end processes, mounts and namespaces, far above the default of two seconds.
return await command.Parse(args).InvokeAsync(new InvocationConfiguration { ProcessTerminationTimeout = TimeSpan.FromMinutes(2) });
