using System.Diagnostics;
using System.Globalization;
using Colo.AgentApi;
using Colo.Cli.Local;
using Colo.Testing;
using Colo.Testing.Local;

namespace Colo.EndToEnd.Tests.SigkillRounds;

/// <summary>SIGKILL of either agent at random moments under load, many rounds. README.md says how to run more of them.</summary>
public sealed class SigkillRoundsTests : IDisposable
{
    private const long DiskBytes = 32 << 20;
    private const int RoundsBetweenComparisons = 3;

    /// <summary>Without COLO_KILL_ROUNDS: no round begins later, once each kind had its turn.</summary>
    private static readonly TimeSpan Budget = TimeSpan.FromSeconds(90);

    private readonly TempDirectory directory = new(onTmpfs: true);
    private readonly SigkillReport report = new();
    private readonly KillKind[] firstTurns = Enum.GetValues<KillKind>();
    private readonly int seed = Number("COLO_SEED") ?? Random.Shared.Next(1_000_000);

    [Fact]
    public async Task Nothing_acknowledged_is_lost_and_images_are_clean_whoever_is_killed_and_when()
    {
        // The resync is slowed, so that kills hit it; the checkpoints come often, so that pairs of images come and go.
        await using ColoLocal colo = await ColoLocal.UpAsync(
            directory.File("colo"),
            DiskBytes,
            """
              checkpoint: {interval: 500ms}
              failover: {policy: Automatic, recoveryPoint: LatestWrite, heartbeatTimeout: 1s}
              resync: {maxBytesPerSecond: 33554432}
            """);
        TwoNodes nodes = new(new LocalLayout(directory.File("colo/local")));
        Journal journal = new((int)(DiskBytes / Journal.SlotBytes), (ulong)seed);
        await using JournalWriter writer = JournalWriter.Start(journal, colo.GuestSocket, colo.GuestExport, seed);
        KillKind kind = default;
        try
        {
            await nodes.UntilProtectedAsync();
            Random random = new(seed);
            long start = Stopwatch.GetTimestamp();
            while (GoesOn(Stopwatch.GetElapsedTime(start)))
            {
                kind = NextKind(random);
                await new KillRound(nodes, writer, report, random).RunAsync(kind, () => VerifyAsync(colo, journal, writer));
                report.Rounds++;
                if (report.Rounds % RoundsBetweenComparisons == 0)
                {
                    await CompareAsync(nodes, writer);
                }
            }

            await CompareAsync(nodes, writer);
            report.Resyncs = nodes.Resyncs();
            report.Resyncs.Count(resync => resync.Mode == "Full").ShouldBe(1, "the first copy onto a new secondary; all others by the map");
            report.Resyncs.Count(resync => resync.Mode == "Bitmap").ShouldBeGreaterThan(0);
        }
        catch (Exception e)
        {
            string logs = Path.Combine(Path.GetTempPath(), string.Create(CultureInfo.InvariantCulture, $"colo-sigkill-{seed}"));
            nodes.SaveLogs(logs);
            throw new InvalidOperationException($"COLO_SEED={seed}, round {report.Rounds + 1} ({kind}); logs in {logs}: {e.Message}", e);
        }
        finally
        {
            Console.WriteLine(report.ToText(seed, writer.AcknowledgedRequests, nodes.Record.Term));
        }
    }

    public void Dispose() => directory.Dispose();

    private bool GoesOn(TimeSpan elapsed) =>
        Number("COLO_KILL_ROUNDS") is { } rounds ? report.Rounds < rounds : report.Rounds < firstTurns.Length || elapsed < Budget;

    /// <summary>Each kind once, in an order of the seed's; then whatever comes.</summary>
    private KillKind NextKind(Random random)
    {
        if (report.Rounds == 0)
        {
            random.Shuffle(firstTurns);
        }

        return report.Rounds < firstTurns.Length ? firstTurns[report.Rounds] : firstTurns[random.Next(firstTurns.Length)];
    }

    /// <summary>Reads all of the disk with a client that nobody here wrote.</summary>
    private async Task<int> VerifyAsync(ColoLocal colo, Journal journal, JournalWriter writer)
    {
        await writer.PauseAsync();
        string copy = directory.File("copy.raw");
        (await Tool.RunAsync("nbdcopy", colo.GuestUri, copy)).EnsureSuccess();
        int slots = journal.Verify(await File.ReadAllBytesAsync(copy));
        writer.Resume();
        return slots;
    }

    private async Task CompareAsync(TwoNodes nodes, JournalWriter writer)
    {
        await writer.PauseAsync();
        await nodes.UntilProtectedAsync();
        VolumeRecord record = nodes.Record;
        ToolResult compare = await Tool.RunAsync(
            "qemu-img", "compare", "--image-opts", Unlocked(nodes.Disk(record.Primary)), Unlocked(nodes.Disk(record.Secondary)));
        compare.EnsureSuccess().ShouldContain("identical");
        report.Comparisons++;
        writer.Resume();
    }

    private static string Unlocked(string path) => $"driver=raw,file.driver=file,file.locking=off,file.filename={path}";

    private static int? Number(string variable) =>
        Environment.GetEnvironmentVariable(variable) is { Length: > 0 } text ? int.Parse(text, CultureInfo.InvariantCulture) : null;
}
