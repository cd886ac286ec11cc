using System.CommandLine;
using Colo.Benchmarks.Experiments;
using Colo.Benchmarks.Load;
using Colo.Benchmarks.Report;
using Colo.Benchmarks.Stacks;
using Spectre.Console;

namespace Colo.Benchmarks;

/// <summary>The benchmark itself: which experiments, in which order, and where the figures go.</summary>
internal static class BenchCommand
{
    private static readonly string[] Experiments = ["replicated", "unreplicated", "first-touch", "pause"];

    public static void AddTo(RootCommand root)
    {
        Option<bool> quick = new("--quick") { Description = "A few minutes: short runs, the disk only sampled (default)" };
        Option<bool> full = new("--full") { Description = "Half an hour: longer runs, more rounds, every job on tmpfs and on disk, buffers up to 1 GiB" };
        Option<string[]> only = new("--only") { Description = $"Only these experiments: {string.Join(", ", Experiments)}", AllowMultipleArgumentsPerToken = true };
        only.AcceptOnlyFromAmong(Experiments);
        Option<string[]> media = new("--medium") { Description = "Only on: tmpfs, disk", AllowMultipleArgumentsPerToken = true };
        media.AcceptOnlyFromAmong("tmpfs", "disk");
        Option<string> output = new("--output") { Description = "Folder for bench.json and bench.svg", DefaultValueFactory = _ => Path.Combine("artifacts", "bench") };
        root.Add(quick);
        root.Add(full);
        root.Add(only);
        root.Add(media);
        root.Add(output);
        root.SetAction((arguments, _) => RunAsync(
            arguments.GetValue(full) ? BenchPlan.Full : BenchPlan.Quick,
            arguments.GetValue(only) is { Length: > 0 } chosen ? chosen : Experiments,
            arguments.GetValue(media) is { Length: > 0 } where ? where : ["tmpfs", "disk"],
            arguments.GetValue(output)!));
    }

    private static async Task<int> RunAsync(BenchPlan plan, string[] experiments, string[] mediaNames, string output)
    {
        Directory.CreateDirectory(output);
        MachineInfo machine = MachineInfo.Read();
        Action<string> progress = Console.IsOutputRedirected ? _ => { } : text => AnsiConsole.MarkupLineInterpolated($"[grey]{text}[/]");
        List<SteadyResult> steady = [];
        List<FirstTouchResult> firstTouch = [];
        List<PauseResult> pauses = [];

        foreach (Medium medium in new[] { Medium.Tmpfs, Medium.Disk }.Where(medium => mediaNames.Contains(medium.Name, StringComparer.Ordinal)))
        {
            Directory.CreateDirectory(medium.Root);
            bool sampled = medium == Medium.Disk && !plan.AllJobsOnDisk;
            IReadOnlyList<FioJob> jobs = sampled ? [.. FioJob.All.Where(job => job.ReadWrite.EndsWith("write", StringComparison.Ordinal))] : FioJob.All;
            int rounds = medium == Medium.Disk ? plan.DiskRounds : plan.Rounds;
            if (experiments.Contains("replicated"))
            {
                steady.AddRange(await SteadyState.RunAsync("replicated", StackRecipes.Replicated, medium, jobs, rounds, plan, progress));
            }

            if (experiments.Contains("unreplicated"))
            {
                steady.AddRange(await SteadyState.RunAsync("unreplicated", StackRecipes.Unreplicated, medium, jobs, rounds, plan, progress));
            }

            if (experiments.Contains("first-touch"))
            {
                firstTouch.AddRange(await FirstTouch.RunAsync(StackRecipes.Replicated, medium, plan, progress));
            }

            if (experiments.Contains("pause") && !sampled)
            {
                pauses.AddRange(await CheckpointPause.RunAsync(StackRecipes.Replicated, medium, plan, progress));
            }
        }

        BenchReport report = new(machine, plan.Name, steady, Ratios.Of(steady), firstTouch, pauses);
        await ReportFile.WriteAsync(Path.Combine(output, "bench.json"), report);
        await ReportPicture.WriteAsync(Path.Combine(output, "bench.svg"), report);
        IAnsiConsole console = AnsiConsole.Console;
        console.Profile.Width = Math.Max(console.Profile.Width, 140);
        Tables.Print(console, report);
        console.WriteLine($"load average before: {machine.LoadBefore}; figures: {Path.Combine(output, "bench.json")}, picture: {Path.Combine(output, "bench.svg")}");
        return 0;
    }
}
