using System.Diagnostics;
using System.Globalization;
using Colo.Chaos.Checks;
using Colo.Chaos.Faults;
using Colo.Chaos.Guests;
using Colo.Chaos.World;

namespace Colo.Chaos;

/// <param name="Rounds">At most so many,</param>
/// <param name="Seed">of this seed,</param>
/// <param name="First">from this round on,</param>
/// <param name="Begin">none that would begin later than so long after the start.</param>
internal sealed record ChaosPlan(int Rounds, int Seed, int First, TimeSpan Begin)
{
    /// <summary>False: no round does anything to a disk, and plain directories do.</summary>
    public bool MeetsDisks => Enumerable.Range(First, Rounds)
        .SelectMany(round => FaultSchedule.Round(Seed, round, Environment.IsPrivilegedProcess)).Any(f => f.Kind >= FaultKind.FullDisk);
}

/// <summary>Round after round on one stage: guests write, faults come and go, all is healed, everything is checked. Ends at the first wrong.</summary>
internal sealed class ChaosRun(ChaosPlan plan, string logs, Action<string> say)
{
    /// <summary>Of 16 MiB: few enough slots that each is written many times a round.</summary>
    private const int Slots = 512;
    private const int WritesBefore = 50;
    private const int WritesAfter = 50;

    /// <summary>Far above what any recovery takes, also on a machine that is busy with other things; the longest are told in the report.</summary>
    private static readonly TimeSpan HealBound = TimeSpan.FromSeconds(180);

    private readonly History history = new(Slots, (ulong)plan.Seed + 1);
    private readonly Report report = new();

    public async Task<Report> RunAsync(CancellationToken token)
    {
        Leftovers.MarkChildren();
        foreach (string run in await Leftovers.RemoveAsync())
        {
            say($"removed what {run}, a run that was killed, had left");
        }

        say("setting the stage: API server, operator, agents a, b, c, a volume");
        await using Stage stage = await Stage.SetAsync(logs, plan.MeetsDisks, token);
        if (!stage.Links.IsIsolated)
        {
            say("not root: no network namespaces and no disks that fail; only processes are killed and frozen");
        }

        await using RecordWatch watch = new(stage);
        Injector injector = new(stage);
        QuietChecks checks = new(stage, history);
        long start = Stopwatch.GetTimestamp();
        try
        {
            await ProtectedAsync(stage, watch, token);
            for (int round = plan.First; round < plan.First + plan.Rounds && Stopwatch.GetElapsedTime(start) < plan.Begin; round++)
            {
                await RoundAsync(round, stage, watch, injector, checks, token);
                if (report.Wrong.Count > 0)
                {
                    break;
                }
            }
        }
        catch (TimeoutException e)
        {
            report.Wrong.Add(e.Message);
        }
        catch (OperationCanceledException) when (token.IsCancellationRequested)
        {
            // What was done until then is told all the same.
            report.IsStopped = true;
        }

        if (report.Wrong.Count > 0)
        {
            await File.WriteAllTextAsync(Path.Combine(logs, "volume.yaml"), await stage.DescribeAsync(), CancellationToken.None);
        }

        report.Count(history, injector, watch, Stopwatch.GetElapsedTime(start));
        return report;
    }

    private async Task RoundAsync(int round, Stage stage, RecordWatch watch, Injector injector, QuietChecks checks, CancellationToken token)
    {
        report.Round = round;
        IReadOnlyList<Fault> faults = FaultSchedule.Round(plan.Seed, round, stage.Links.IsIsolated);
        VolumeRecord before = watch.Last!;
        say(string.Create(CultureInfo.InvariantCulture, $"round {round}, term {before.Term}, primary {before.Primary}, secondary {before.Secondary}: {string.Join("; ", faults)}"));
        history.BeginRound();
        List<NodeGuest> guests = [.. Stage.Nodes.Select((n, i) => NodeGuest.Start(history, n, stage.GuestSocket(n), (round * 100) + (i * 10)))];
        TimeSpan healed;
        try
        {
            await WrittenAsync(WritesBefore, stage, token);
            await injector.RunAsync(faults, before, token);
            long heal = Stopwatch.GetTimestamp();
            await WrittenAsync(WritesAfter, stage, token);
            await ProtectedAsync(stage, watch, token);
            healed = Stopwatch.GetElapsedTime(heal);
            await WrittenAsync(WritesAfter, stage, token);
        }
        finally
        {
            foreach (NodeGuest guest in guests)
            {
                await guest.DisposeAsync();
            }
        }

        VolumeRecord after = await ProtectedAsync(stage, watch, token);
        report.Wrong.AddRange(await checks.RunAsync(after));
        report.OverlaysChecked = checks.OverlaysChecked;
        if (watch.Fault is { } fault)
        {
            report.Wrong.Add(fault);
        }

        report.RoundEnded(history.LongestSilence, healed, before, after, faults.Any(f => f.Kind == FaultKind.Switchover));
    }

    private async Task WrittenAsync(long more, Stage stage, CancellationToken token)
    {
        long wanted = history.Writes + more;
        await UntilAsync(stage, () => history.Writes >= wanted, "the guests' writes are answered", token);
    }

    private static async Task<VolumeRecord> ProtectedAsync(Stage stage, RecordWatch watch, CancellationToken token)
    {
        // A new look: the last one may be from before the heal.
        await UntilAsync(stage, async () => await stage.LookAsync() is { Phase: "Protected", SecondaryState: "InSync" }, "the volume is Protected", token);
        VolumeRecord? record = null;
        await UntilAsync(stage, async () => (record = await stage.LookAsync()) is { Secondary: not null } && watch.Last is not null, "the arbiter answers", token);
        return record!;
    }

    private static Task UntilAsync(Stage stage, Func<bool> condition, string what, CancellationToken token) =>
        UntilAsync(stage, () => Task.FromResult(condition()), what, token);

    private static async Task UntilAsync(Stage stage, Func<Task<bool>> condition, string what, CancellationToken token)
    {
        long start = Stopwatch.GetTimestamp();
        while (!await condition())
        {
            token.ThrowIfCancellationRequested();
            if (stage.Agents.Values.Append(stage.Operator).Select(v => v.Crash).Concat(stage.Disks.Values.Select(d => d.Crash)).FirstOrDefault(c => c is not null) is { } crash)
            {
                throw new TimeoutException(crash);
            }

            if (Stopwatch.GetElapsedTime(start) > HealBound)
            {
                throw new TimeoutException($"not within {HealBound}: {what}");
            }

            await Task.Delay(100, token);
        }
    }
}
