using Colo.AgentApi;
using Colo.Testing;

namespace Colo.Agent.Tests;

public class VolumeRecordFileTests : IDisposable
{
    private readonly TempDirectory directory = new(onTmpfs: true);

    private VolumeRecordFile Records => new(directory.Path, "vol-1");

    private static VolumeRecord First => new("vol-1", 1, "a", "b", SecondaryState.Syncing);

    public void Dispose() => directory.Dispose();

    [Fact]
    public void What_was_created_is_read_back_with_revision_1()
    {
        Records.Read().ShouldBeNull();
        Records.TryCreate(First).Done.ShouldBeTrue();
        Records.Read().ShouldBe(First with { Revision = 1 });
    }

    [Fact]
    public void A_second_creation_is_not_done_and_shows_what_is_there()
    {
        Records.TryCreate(First);
        RecordChange again = Records.TryCreate(First with { Primary = "c" });
        again.Done.ShouldBeFalse();
        again.Current!.Primary.ShouldBe("a");
    }

    [Fact]
    public void A_change_of_an_older_revision_loses()
    {
        VolumeRecord first = Records.TryCreate(First).Current!;
        Records.TryReplace(first, first with { SecondaryState = SecondaryState.InSync }).Done.ShouldBeTrue();
        RecordChange late = Records.TryReplace(first, first with { SecondaryState = SecondaryState.Stale });
        late.Done.ShouldBeFalse();
        late.Current!.SecondaryState.ShouldBe(SecondaryState.InSync);
    }

    [Fact]
    public void A_term_never_falls()
    {
        VolumeRecord first = Records.TryCreate(First with { Term = 5 }).Current!;
        Should.Throw<ArgumentException>(() => Records.TryReplace(first, first with { Term = 4 }));
    }

    [Fact]
    public void An_impossible_state_is_never_written()
    {
        VolumeRecord first = Records.TryCreate(First).Current!;
        Should.Throw<ArgumentException>(() => Records.TryReplace(first, first with { Secondary = "" }));
        Should.Throw<ArgumentException>(() => Records.TryReplace(first, first with { Secondary = "a" }));
        Records.Read().ShouldBe(first);
    }

    [Theory]
    [InlineData("")]
    [InlineData("{}")]
    [InlineData("""{"uid":"vol-1","term":0,"primary":"a","secondary":"b","secondaryState":"InSync","revision":1}""")]
    [InlineData("""{"uid":"vol-2","term":1,"primary":"a","secondary":"b","secondaryState":"InSync","revision":1}""")]
    [InlineData("""{"uid":"vol-1","term":1,"primary":"a","secondary":"b","secondaryState":"Perhaps","revision":1}""")]
    public void Content_that_is_no_record_is_refused_and_not_replaced(string content)
    {
        Directory.CreateDirectory(directory.Path);
        File.WriteAllText(Records.Path, content);
        Should.Throw<InvalidDataException>(() => Records.Read());
        Should.Throw<InvalidDataException>(() => Records.TryCreate(First));
        File.ReadAllText(Records.Path).ShouldBe(content);
    }

    [Fact]
    public void A_uid_that_is_a_path_is_refused() =>
        Should.Throw<ArgumentException>(() => new VolumeRecordFile(directory.Path, "../other"));

    [Fact]
    public async Task Of_many_writers_each_change_is_made_once_and_no_reader_sees_half_a_record()
    {
        const int writers = 8;
        const int changes = 25;
        Records.TryCreate(First);
        using CancellationTokenSource done = new();
        Task reader = Task.Run(() =>
        {
            long last = 0;
            while (!done.IsCancellationRequested)
            {
                VolumeRecord seen = Records.Read().ShouldNotBeNull();
                seen.Revision.ShouldBeGreaterThanOrEqualTo(last);
                last = seen.Revision;
            }
        });
        await Task.WhenAll(Enumerable.Range(0, writers).Select(_ => Task.Run(() =>
        {
            for (int made = 0; made < changes;)
            {
                VolumeRecord current = Records.Read()!;
                made += Records.TryReplace(current, current with { Term = current.Term + 1 }).Done ? 1 : 0;
            }
        })));
        await done.CancelAsync();
        await reader;
        Records.Read()!.Term.ShouldBe(1 + (writers * changes));
        Records.Read()!.Revision.ShouldBe(1 + (writers * changes));
    }
}
