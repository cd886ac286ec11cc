namespace Colo.PowerCut.Tests;

/// <summary>
/// Which cuts are made of a recording: each flush point once where every one is asked for, and random ones besides: half of them at flush
/// points, half anywhere. Counts the flush points, and those that were cut.
/// </summary>
/// <param name="run">The recording.</param>
/// <param name="random">Of a printed seed.</param>
/// <param name="randomCuts">How many random cuts.</param>
/// <param name="everyFlushPoint">Each flush point first.</param>
/// <param name="isWanted">Steps of others are no points here.</param>
public sealed class CutPlan(RecordedRun run, Random random, int randomCuts, bool everyFlushPoint, Func<int, bool> isWanted)
{
    private readonly HashSet<FlushPoint> covered = [];
    private readonly List<FlushPoint> points = run.Files.FlushPoints.FindAll(p => isWanted(p.Step));

    public int FlushPoints => points.Count;

    public int Covered => covered.Count;

    /// <summary>The kinds are the hardest ones: where a sync has ended, nothing but what it made durable; where it begins, anything.</summary>
    public IEnumerable<Cut> Cuts()
    {
        foreach (FlushPoint point in everyFlushPoint ? points : [])
        {
            yield return At(point, point.IsEnd ? CutKind.NothingMore : CutKind.Torn);
        }

        for (int made = 0; made < randomCuts; made++)
        {
            yield return made % 2 == 0 ? AtSomeFlush() : Anywhere();
        }
    }

    /// <summary>At it, or just before.</summary>
    private Cut AtSomeFlush()
    {
        FlushPoint point = points[random.Next(points.Count)];
        CutKind kind = random.Next(3) switch { 0 => CutKind.NothingMore, 1 => CutKind.EverythingMore, _ => CutKind.Torn };
        return random.Next(2) == 0 || !isWanted(point.Step - 1)
            ? At(point, kind)
            : new(run.NodeOf(point.Path) ?? SomeNode(), point.Step - 1, kind, random.Next());
    }

    private Cut Anywhere()
    {
        int step;
        do
        {
            step = random.Next(points[0].Step, run.Log.StepTimes.Count);
        }
        while (!isWanted(step));
        return new(SomeNode(), step, CutKind.Torn, random.Next());
    }

    /// <summary>Of the node whose sync it is; of either where it is the record's.</summary>
    private Cut At(FlushPoint point, CutKind kind)
    {
        covered.Add(point);
        return new(run.NodeOf(point.Path) ?? SomeNode(), point.Step, kind, random.Next());
    }

    private string SomeNode() => random.Next(2) == 0 ? "a" : "b";
}
