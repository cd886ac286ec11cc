using Colo.Benchmarks.Load;
using Colo.Benchmarks.Report;
using Colo.Benchmarks.Stacks;

namespace Colo.Benchmarks.Experiments;

/// <summary>
/// How long a checkpoint takes, and how long a write around it takes at most, for buffers of several sizes. A stack that needs its
/// guest stopped meanwhile has it stopped; the guest's next write then carries that time.
/// </summary>
internal static class CheckpointPause
{
    /// <summary>Of each size, to take a median of.</summary>
    private const int Repeats = 3;

    public static async Task<IReadOnlyList<PauseResult>> RunAsync(
        IReadOnlyList<StackRecipe<IReplicatedStack>> recipes, Medium medium, BenchPlan plan, Action<string> progress)
    {
        List<PauseResult> results = [];
        using Workspace workspace = new(medium);
        long length = plan.BufferSizes.Max();
        foreach (StackRecipe<IReplicatedStack> recipe in recipes)
        {
            await using IReplicatedStack stack = await recipe.LaunchAsync(workspace.PlaceFor(recipe.Name, length));
            foreach (long size in plan.BufferSizes)
            {
                List<PauseSample> samples = [];
                for (int repeat = 0; repeat < Repeats; repeat++)
                {
                    progress($"checkpoint pause on {medium.Name}: {recipe.Name}, buffer {size >> 20} MiB");
                    samples.Add(await MeasureAsync(stack, size));
                }

                results.Add(new PauseResult(
                    medium.Name, recipe.Name, size,
                    Median.Of(samples.Select(sample => (double)sample.BufferedBytes)),
                    Median.Of(samples.Select(sample => sample.CallMilliseconds)),
                    Median.Of(samples.Select(sample => sample.LongestWriteMilliseconds)),
                    Median.Of(samples.Select(sample => sample.TypicalWriteMilliseconds))));
            }
        }

        return results;
    }

    private static async Task<PauseSample> MeasureAsync(IReplicatedStack stack, long bufferBytes)
    {
        await stack.CheckpointAsync();
        await Fio.RunAsync(stack, FioJob.Fill, new FioExtent(null, bufferBytes));
        await using WriteProbe probe = await WriteProbe.StartAsync(stack.Target);
        await probe.SettleAsync();
        long buffered = stack.BufferBytes();
        (double call, double longest) = await probe.AroundAsync(stack.CheckpointAsync, stack.NeedsStoppedGuest);
        return new PauseSample(buffered, call, longest, probe.TypicalMilliseconds);
    }

    private sealed record PauseSample(long BufferedBytes, double CallMilliseconds, double LongestWriteMilliseconds, double TypicalWriteMilliseconds);
}
