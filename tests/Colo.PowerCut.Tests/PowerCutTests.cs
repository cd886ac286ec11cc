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
        Random random = new(seed);
        Dictionary<string, int> done = new(StringComparer.Ordinal);
        using (Machine machine = new(run))
        {
            PowerCutJudge judge = new(run, machine);
            for (int point = 0; point < points; point++)
            {
                Cut cut = Choose(run, random, point);
                (string what, Task<string?> judging) = point % 8 == 7
                    ? ("overlays after the death of the process", judge.OverlayFaultAsync(cut with { Kind = CutKind.ProcessDeath }, medium))
                    : point % 16 == 6 && run.IsPair(cut.Step)
                        ? ("both nodes cut and brought in sync again", judge.PairFaultAsync(cut, ResyncMode.Full))
                        : ($"{cut.Kind} of {cut.Node}", judge.FaultAsync(cut));
                (await judging).ShouldBeNull($"seed {seed}, point {point} of {medium} {recoveryPoint}; what it was cut from is kept in {root}");
                done[what] = done.GetValueOrDefault(what) + 1;
            }
        }

        Directory.Delete(root, recursive: true);
        output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"""
            {medium}, {recoveryPoint}, seed {seed}: {run.Log.Calls.Count} calls recorded in {recording.TotalSeconds:F1} s, {run.Files.Changes} changes of files,
            {run.Files.SyncSteps.Count / 2} syncs, {run.Journal.Changes} changes and {run.Journal.Flushes} flushes of the guest.
            {points} points in {Stopwatch.GetElapsedTime(start).TotalSeconds:F1} s: {string.Join(", ", done.OrderBy(d => d.Key, StringComparer.Ordinal).Select(d => $"{d.Value} {d.Key}"))}
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
        Random random = new(seed);
        Dictionary<string, int> resyncs;
        using (Machine machine = new(run))
        {
            PowerCutJudge judge = new(run, machine);
            for (int point = 0; point < points; point++)
            {
                Cut cut = Choose(run, random, point);
                for (; !run.IsPair(cut.Step); cut = Choose(run, random, point))
                {
                }

                (await judge.PairFaultAsync(cut, ResyncMode.Unspecified)).ShouldBeNull($"seed {seed}, point {point}; what it was cut from is kept in {root}");
            }

            resyncs = judge.Resyncs;
        }

        Directory.Delete(root, recursive: true);
        resyncs.ShouldContainKey("Bitmap", "not everything is copied each time");
        output.WriteLine($"outage, seed {seed}: {run.Log.Calls.Count} calls, {points} points in {Stopwatch.GetElapsedTime(start).TotalSeconds:F1} s: "
            + string.Join(", ", resyncs.Select(r => $"{r.Value} resyncs {r.Key}")));
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

    /// <summary>A flush point, just before it or just after; or any step.</summary>
    internal static Cut Choose(RecordedRun run, Random random, int point)
    {
        string node = random.Next(2) == 0 ? "a" : "b";
        List<int> syncs = run.Files.SyncSteps;
        bool atFlush = point % 2 == 0;
        int step = atFlush ? syncs[random.Next(syncs.Count)] - random.Next(2) : random.Next(syncs[0], run.Log.StepTimes.Count);
        CutKind kind = atFlush && random.Next(3) > 0 ? random.Next(2) == 0 ? CutKind.NothingMore : CutKind.EverythingMore : CutKind.Torn;
        return new(node, Math.Clamp(step, 0, run.Log.StepTimes.Count - 1), kind, random.Next());
    }

    private static int Number(string variable, int otherwise) =>
        int.TryParse(Environment.GetEnvironmentVariable(variable), CultureInfo.InvariantCulture, out int number) ? number : otherwise;
}
