using Colo.Benchmarks.Load;
using Colo.Benchmarks.Report;
using Colo.Benchmarks.Stacks;

namespace Colo.Benchmarks.Experiments;

/// <summary>
/// What copy-before-write costs: right after a checkpoint each 4 KiB write meets its grain for the first time in the epoch, and
/// the secondary must save the old content. Counted: rate, how much the buffer grows for each byte written, and how much all
/// servers move through files (local write, secondary write, copy read and written, metadata).
/// </summary>
internal static class FirstTouch
{
    public static async Task<IReadOnlyList<FirstTouchResult>> RunAsync(
        IReadOnlyList<StackRecipe<IReplicatedStack>> recipes, Medium medium, BenchPlan plan, Action<string> progress)
    {
        // Few writes spread over much disk, as a guest's random writes are between two checkpoints: whoever copies in units larger
        // than the write pays for all of the unit.
        long diskBytes = plan.DiskBytes * 4;
        long bytes = diskBytes / 32;
        using Workspace workspace = new(medium);
        List<IReplicatedStack> stacks = [];
        Dictionary<string, List<FirstTouchRun>> runs = [];
        try
        {
            foreach (StackRecipe<IReplicatedStack> recipe in recipes)
            {
                IReplicatedStack stack = await recipe.LaunchAsync(workspace.PlaceFor(recipe.Name, diskBytes));
                stacks.Add(stack);
                runs[stack.Name] = [];
                await Fio.RunAsync(stack, FioJob.Fill, new FioExtent(null, diskBytes));
            }

            for (int round = 0; round < plan.FirstTouchRounds; round++)
            {
                foreach (IReplicatedStack stack in round % 2 == 0 ? stacks : Enumerable.Reverse(stacks))
                {
                    progress($"first touch on {medium.Name}: round {round + 1} of {plan.FirstTouchRounds}, {stack.Name}");
                    runs[stack.Name].Add(await MeasureAsync(stack, diskBytes, bytes));
                }
            }
        }
        finally
        {
            foreach (IReplicatedStack stack in stacks)
            {
                await stack.DisposeAsync();
            }
        }

        return
        [
            .. runs.Select(run => new FirstTouchResult(
                medium.Name, run.Key, Median.Of(run.Value.Select(one => one.Load).ToList()),
                Median.Of(run.Value.Select(one => one.BufferBytesPerByte)), Median.Of(run.Value.Select(one => one.FileBytesPerByte)))),
        ];
    }

    private static async Task<FirstTouchRun> MeasureAsync(IReplicatedStack stack, long diskBytes, long bytes)
    {
        await stack.CheckpointAsync();
        long before = stack.BufferBytes();
        LoadResult load = await Fio.RunAsync(stack, FioJob.FirstTouch, new FioExtent(null, diskBytes, bytes));
        double written = load.Requests * (double)FioJob.FirstTouch.BlockBytes;
        return new FirstTouchRun(load, (stack.BufferBytes() - before) / written, load.ServerFileBytes / written);
    }

    private sealed record FirstTouchRun(LoadResult Load, double BufferBytesPerByte, double FileBytesPerByte);
}
