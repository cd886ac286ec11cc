using Colo.Simulation.Faults;
using Colo.Simulation.Mutants;

namespace Colo.Simulation;

/// <summary>What people get to read.</summary>
internal static class Report
{
    private const int LastLines = 60;

    /// <summary>Prints the seed, makes its schedule as small as it still fails, and prints what is left.</summary>
    public static async Task FailureAsync(RunResult failed, SimulationOptions options)
    {
        Console.WriteLine($"seed {failed.Seed} FAILED: {failed.Failure}");
        if (options.ShowsTrace || options.Mutant is not null)
        {
            return;
        }

        (RunResult smallest, List<int> without) = options.Minimises ? await MinimiseAsync(failed, options) : (failed, [.. options.Without]);
        Console.WriteLine($"  with {smallest.Faults.Count} of {failed.Faults.Count} faults: {FirstLine(smallest.Failure!)}");
        foreach (Fault fault in smallest.Faults)
        {
            Console.WriteLine($"    {fault}");
        }

        foreach (string line in smallest.LastLines.TakeLast(LastLines))
        {
            Console.WriteLine($"  {line}");
        }

        Console.WriteLine($"  again: Colo.Simulation --seed {failed.Seed}{(without.Count > 0 ? " --without " + string.Join(',', without) : "")} --trace");
    }

    public static void Coverage(Checks.Coverage coverage, SimulationOptions options)
    {
        if (options.ShowsCoverage)
        {
            foreach ((string what, long count) in coverage.Counts)
            {
                Console.WriteLine($"{count,10} {what}");
            }
        }
    }

    /// <summary>Halves first, then one by one: what can be left out without the failure going away.</summary>
    private static async Task<(RunResult Smallest, List<int> Without)> MinimiseAsync(RunResult failed, SimulationOptions options)
    {
        RunResult smallest = failed;
        List<int> without = [.. options.Without];
        for (int size = Math.Max(1, failed.Faults.Count / 2); size >= 1; size /= 2)
        {
            foreach (int[] piece in smallest.Faults.Select(f => f.Number).Chunk(size).ToArray())
            {
                List<int> tried = [.. without, .. piece];
                RunResult result = await Run.OfAsync(failed.Seed, Mutant.Named(options.Mutant), tried, live: null);
                if (result.Failure is not null)
                {
                    (smallest, without) = (result, tried);
                }
            }
        }

        return (smallest, without);
    }

    private static string FirstLine(string text) => text.Split('\n')[0];
}
