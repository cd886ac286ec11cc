using Colo.Benchmarks.Stacks;

namespace Colo.Benchmarks.Report;

/// <summary>Ours over each peer, job by job.</summary>
internal static class Ratios
{
    public static IReadOnlyList<Ratio> Of(IReadOnlyList<SteadyResult> results)
    {
        List<Ratio> ratios = [];
        foreach (IGrouping<(string, string, string), SteadyResult> job in results.GroupBy(result => (result.Group, result.Medium, result.Job.Name)))
        {
            if (job.FirstOrDefault(result => IsOurs(result.Stack)) is not { } ours)
            {
                continue;
            }

            ratios.AddRange(job.Where(result => !IsOurs(result.Stack)).Select(peer => new Ratio(
                peer.Group, peer.Medium, peer.Job.Name, peer.Stack, ours.Rate / peer.Rate,
                ours.Median.ServerCpuMicrosecondsPerRequest / Math.Max(peer.Median.ServerCpuMicrosecondsPerRequest, 0.01))));
        }

        return ratios;
    }

    private static bool IsOurs(string stack) => stack == StackRecipes.Ours;
}
