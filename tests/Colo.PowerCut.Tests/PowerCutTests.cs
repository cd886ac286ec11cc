using System.Diagnostics;
using System.Globalization;
using Colo.AgentApi;
using Colo.Testing;

namespace Colo.PowerCut.Tests;

/// <summary>Two agents work, every change of their files is recorded, and the power is cut wherever a flush is, and between.</summary>
[Collection("one recording at a time")]
public sealed class PowerCutTests(ITestOutputHelper output)
{
    private const long SizeBytes = 4 << 20;
    private const long ExtentBytes = 4 << 20;

    /// <summary>Cuts of each recording where nobody says otherwise; a minute, with the recordings.</summary>
    private const int UsualPoints = 60;
    private const string PointsVariable = "COLO_POWERCUT_POINTS";

    /// <summary>Not 0: each flush point of each recording is cut as well.</summary>
    private const string EveryVariable = "COLO_POWERCUT_EVERY";
    private const string SeedVariable = "COLO_POWERCUT_SEED";

    [Theory]
    [InlineData(BufferMedium.Memory, RecoveryPoint.LatestWrite)]
    [InlineData(BufferMedium.Disk, RecoveryPoint.LastCheckpoint)]
    public async Task Whatever_a_power_cut_leaves_is_recovered_to_what_was_flushed_or_refused(BufferMedium medium, RecoveryPoint recoveryPoint)
    {
        int points = Number(PointsVariable, UsualPoints);
        int seed = Number(SeedVariable, Random.Shared.Next());
        string root = new TempDirectory(onTmpfs: true).Path;
        long start = Stopwatch.GetTimestamp();
        RecordedRun run = await RecordAsync(root, medium, recoveryPoint, seed);
        TimeSpan recording = Stopwatch.GetElapsedTime(start);
        CutPlan plan = new(run, new Random(seed), points, IsEveryFlushPointAsked, _ => true);
        Dictionary<string, int> done = new(StringComparer.Ordinal);
        int overlays;
        using (Machine machine = new(run))
        {
            PowerCutJudge judge = new(run, machine);
            int point = 0;
            foreach (Cut cut in plan.Cuts())
            {
                bool isFlushPoint = IsEveryFlushPointAsked && point < plan.FlushPoints;
                bool isOfOverlays = !isFlushPoint && point % 8 == 7;
                bool isOfBoth = !isFlushPoint && point % 16 == 6 && run.IsPair(cut.Step);
                string where = $"seed {seed}, point {point} of {medium} {recoveryPoint}; what it was cut from is kept in {root}";
                string? fault = isOfBoth ? await judge.PairFaultAsync(cut, ResyncMode.Full)
                    : isOfOverlays ? null
                    : await judge.FaultAsync(cut);
                fault.ShouldBeNull(where);
                if (isFlushPoint || isOfOverlays)
                {
                    (await judge.OverlayFaultAsync(cut with { Kind = CutKind.ProcessDeath }, medium)).ShouldBeNull(where);
                }

                string what = isOfBoth ? "of both nodes, brought in sync again" : isOfOverlays ? "of overlays only" : $"{cut.Kind}";
                done[what] = done.GetValueOrDefault(what) + 1;
                point++;
            }

            overlays = judge.OverlaysChecked;
        }

        Directory.Delete(root, recursive: true);
        plan.Covered.ShouldBe(IsEveryFlushPointAsked ? plan.FlushPoints : plan.Covered);
        output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"""
            {medium}, {recoveryPoint}, seed {seed}: {run.Log.Calls.Count} calls recorded in {recording.TotalSeconds:F1} s, {run.Files.Changes} changes of files,
            {run.Journal.Changes} changes and {run.Journal.Flushes} flushes of the guest.
            {plan.FlushPoints} flush points, {plan.Covered} of them cut; {done.Values.Sum()} cuts in {Stopwatch.GetElapsedTime(start).TotalSeconds:F1} s: {Counts(done)}; {overlays} pairs of overlays checked
            """));
    }

    [Fact]
    public async Task After_an_outage_and_a_power_cut_what_differs_is_known_and_both_disks_become_equal()
    {
        int points = Number(PointsVariable, UsualPoints) / 3;
        int seed = Number(SeedVariable, Random.Shared.Next());
        string root = new TempDirectory(onTmpfs: true).Path;
        long start = Stopwatch.GetTimestamp();
        RecordedRun run = await RecordOutageAsync(root, seed);
        CutPlan plan = new(run, new Random(seed), points, IsEveryFlushPointAsked, run.IsPair);
        Dictionary<string, int> resyncs;
        int made = 0;
        using (Machine machine = new(run))
        {
            PowerCutJudge judge = new(run, machine);
            foreach (Cut cut in plan.Cuts())
            {
                (await judge.PairFaultAsync(cut, ResyncMode.Unspecified)).ShouldBeNull($"seed {seed}, point {made}; what it was cut from is kept in {root}");
                made++;
            }

            resyncs = judge.Resyncs;
        }

        Directory.Delete(root, recursive: true);
        resyncs.ShouldContainKey("Bitmap", "not everything is copied each time");
        plan.Covered.ShouldBe(IsEveryFlushPointAsked ? plan.FlushPoints : plan.Covered);
        output.WriteLine($"outage, seed {seed}: {run.Log.Calls.Count} calls, {plan.FlushPoints} flush points, {plan.Covered} of them cut; {made} cuts in "
            + $"{Stopwatch.GetElapsedTime(start).TotalSeconds:F1} s; resyncs: {Counts(resyncs)}");
    }

    internal static async Task<RecordedRun> RecordAsync(string root, BufferMedium medium, RecoveryPoint recoveryPoint, int seed)
    {
        RecordedRun run = new(root, SizeBytes) { CommitsBuffer = recoveryPoint == RecoveryPoint.LastCheckpoint };
        await using TracedPair pair = await TracedPair.StartAsync(root);
        await new PairWorkload(run, pair, medium, recoveryPoint, seed).RunAsync();
        run.Take(await pair.EndAsync("b"));
        return run;
    }

    internal static async Task<RecordedRun> RecordOutageAsync(string root, int seed)
    {
        RecordedRun run = new(root, 6 * ExtentBytes);
        await using TracedPair pair = await TracedPair.StartAsync(root);
        await new PairWorkload(run, pair, BufferMedium.Memory, RecoveryPoint.LatestWrite, seed).RunOutageAsync();
        run.Take(await pair.EndAsync());
        return run;
    }

    private static bool IsEveryFlushPointAsked => Number(EveryVariable, 0) > 0;

    private static string Counts(Dictionary<string, int> of) =>
        string.Join(", ", of.OrderBy(d => d.Key, StringComparer.Ordinal).Select(d => $"{d.Value} {d.Key}"));

    private static int Number(string variable, int otherwise) =>
        int.TryParse(Environment.GetEnvironmentVariable(variable), CultureInfo.InvariantCulture, out int number) ? number : otherwise;
}
