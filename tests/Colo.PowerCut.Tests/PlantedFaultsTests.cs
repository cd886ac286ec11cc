using Colo.Agent.Volumes;
using Colo.AgentApi;
using Colo.Testing;

namespace Colo.PowerCut.Tests;

/// <summary>What these tests would say of an agent that forgot a sync: they must find it, else their silence means nothing.</summary>
[Collection("one recording at a time")]
public sealed class PlantedFaultsTests(PlantedFaultsTests.Recording recording) : IClassFixture<PlantedFaultsTests.Recording>
{
    private const int Patience = 60;

    [Fact]
    public async Task A_flush_that_does_not_reach_the_disk_is_found() =>
        (await FirstFaultAsync("a", CutKind.NothingMore, content: path => path.EndsWith("disk.raw", StringComparison.Ordinal)))
            .ShouldContain("or later was due");

    [Fact]
    public async Task A_state_file_whose_directory_is_never_synced_is_found() =>
        (await FirstFaultAsync("b", CutKind.NothingMore, names: path => path.EndsWith("replica.state", StringComparison.Ordinal)))
            .ShouldNotBeEmpty();

    [Fact]
    public async Task A_replica_whose_own_directory_is_never_synced_is_found() =>
        (await FirstFaultAsync("a", CutKind.NothingMore, names: path => path.EndsWith("/pool/cut", StringComparison.Ordinal)))
            .ShouldBe("its replica is gone");

    [Fact]
    public async Task A_state_file_that_is_renamed_before_its_content_is_on_disk_is_found_and_recognised_as_torn() =>
        (await FirstFaultAsync("a", CutKind.NothingMore, content: path => path.Contains("replica.state", StringComparison.Ordinal)))
            .ShouldContain("does not begin as a state file");

    [Fact]
    public async Task A_map_of_what_differs_that_is_never_synced_is_found()
    {
        using TempDirectory directory = new(onTmpfs: true);
        RecordedRun run = await PowerCutTests.RecordOutageAsync(directory.Path, seed: 1);
        run.Files.ForgetSyncs(
            (path, change) => path.EndsWith("lineage.map", StringComparison.Ordinal) && change.Offset >= LineageMapFile.MapAt && run.TimeOf(change.Begin) >= run.Started,
            _ => false);
        using Machine machine = new(run);
        (await new PowerCutJudge(run, machine).PairFaultAsync(new("a", run.Log.StepTimes.Count - 1, CutKind.NothingMore, Seed: 1), ResyncMode.Unspecified))
            .ShouldNotBeNull().ShouldContain("mismatch");
    }

    private async Task<string> FirstFaultAsync(string node, CutKind kind, Func<string, bool>? content = null, Func<string, bool>? names = null)
    {
        recording.Run.Take(recording.Run.Log);
        recording.Run.Files.ForgetSyncs((path, _) => content?.Invoke(path) == true, names ?? (_ => false));
        PowerCutJudge judge = new(recording.Run, recording.Machine);
        Random random = new(1);
        foreach (Cut cut in new CutPlan(recording.Run, random, Patience * 2, everyFlushPoint: false, _ => true).Cuts().Where((_, i) => i % 2 == 0))
        {
            if (await judge.FaultAsync(cut with { Node = node, Kind = kind }) is { } fault)
            {
                return fault;
            }
        }

        throw new InvalidOperationException($"{Patience} cuts found nothing");
    }

    /// <summary>One recording for all.</summary>
    public sealed class Recording : IAsyncLifetime
    {
        private readonly TempDirectory directory = new(onTmpfs: true);

        public RecordedRun Run { get; private set; } = null!;

        public Machine Machine { get; private set; } = null!;

        public async ValueTask InitializeAsync()
        {
            Run = await PowerCutTests.RecordAsync(directory.Path, BufferMedium.Memory, RecoveryPoint.LatestWrite, seed: 1);
            Machine = new Machine(Run);
        }

        public ValueTask DisposeAsync()
        {
            directory.Dispose();
            return ValueTask.CompletedTask;
        }
    }
}
