using Colo.Benchmarks.Load;
using Colo.Benchmarks.Report;
using Colo.Benchmarks.Stacks;

namespace Colo.Benchmarks.Experiments;

/// <summary>
/// The jobs on filled disks, stack beside stack in one run: in each round every job meets every stack in turn, in changing order,
/// so that whatever else the machine does hits all alike. The figure is the median of the rounds.
/// </summary>
internal static class SteadyState
{
    public static async Task<IReadOnlyList<SteadyResult>> RunAsync<TStack>(
        string group, IReadOnlyList<StackRecipe<TStack>> recipes, Medium medium, IReadOnlyList<FioJob> jobs, int rounds, BenchPlan plan, Action<string> progress)
        where TStack : IStack
    {
        using Workspace workspace = new(medium);
        List<TStack> stacks = [];
        try
        {
            foreach (StackRecipe<TStack> recipe in recipes)
            {
                TStack stack = await recipe.LaunchAsync(workspace.PlaceFor(recipe.Name, plan.DiskBytes));
                stacks.Add(stack);
                progress($"{group} on {medium.Name}: filling {recipe.Name}");
                await Fio.RunAsync(stack, FioJob.Fill, new FioExtent(null, plan.DiskBytes));
            }

            Dictionary<(string Stack, string Job), List<LoadResult>> runs = [];
            for (int round = 0; round < rounds; round++)
            {
                foreach (FioJob job in jobs)
                {
                    foreach (TStack stack in InTurn(stacks, round))
                    {
                        progress($"{group} on {medium.Name}: round {round + 1} of {rounds}, {job.Name}, {stack.Name}");
                        LoadResult result = await Fio.RunAsync(stack, job, new FioExtent(plan.SecondsPerRun, plan.DiskBytes));
                        (runs.TryGetValue((stack.Name, job.Name), out List<LoadResult>? known) ? known : runs[(stack.Name, job.Name)] = []).Add(result);
                    }
                }
            }

            List<SteadyResult> results = [];
            foreach (FioJob job in jobs)
            {
                foreach (TStack stack in stacks)
                {
                    List<LoadResult> measured = runs[(stack.Name, job.Name)];
                    results.Add(new SteadyResult(
                        group, medium.Name, job, stack.Name, Median.Of(measured), measured, ServerUsage.Of(stack.ServerPids).PeakRssBytes));
                }
            }

            return results;
        }
        finally
        {
            foreach (TStack stack in stacks)
            {
                await stack.DisposeAsync();
            }
        }
    }

    private static IEnumerable<TStack> InTurn<TStack>(List<TStack> stacks, int round) => round % 2 == 0 ? stacks : Enumerable.Reverse(stacks);
}
