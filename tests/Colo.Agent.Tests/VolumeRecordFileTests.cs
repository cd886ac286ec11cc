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
    public void A_torn_or_changed_record_is_refused_wherever_it_was_hit()
    {
        VolumeRecord first = Records.TryCreate(First).Current!;
        byte[] good = File.ReadAllBytes(Records.Path);
        for (int length = 0; length < good.Length; length++)
        {
            File.WriteAllBytes(Records.Path, good[..length]);
            Should.Throw<InvalidDataException>(() => Records.Read(), $"{length} bytes of it");
        }

        for (int bit = 0; bit < good.Length * 8; bit++)
        {
            byte[] bad = [.. good];
            bad[bit / 8] ^= (byte)(1 << (bit % 8));
            File.WriteAllBytes(Records.Path, bad);
            Should.Throw<InvalidDataException>(() => Records.Read(), $"bit {bit}");
        }

        File.WriteAllBytes(Records.Path, good);
        Records.Read().ShouldBe(first);
    }

    [Fact]
    public void A_record_of_a_newer_format_is_refused_by_name()
    {
        Records.TryCreate(First);
        string body = File.ReadAllText(Records.Path).Split("\n  \"sha256\"")[0].Replace("\"format\": 2", "\"format\": 3", StringComparison.Ordinal);
        string hash = Convert.ToHexStringLower(System.Security.Cryptography.SHA256.HashData(System.Text.Encoding.UTF8.GetBytes(body)));
        File.WriteAllText(Records.Path, $"{body}\n  \"sha256\": \"{hash}\"\n}}");
        Should.Throw<InvalidDataException>(() => Records.Read()).Message.ShouldContain("newer format");
    }

    [Fact]
    public void A_record_from_before_it_had_a_checksum_is_read_and_gets_one_by_the_next_change()
    {
        File.WriteAllText(Records.Path, """{"uid":"vol-1","term":1,"primary":"a","secondary":"b","secondaryState":"InSync","revision":4}""");
        VolumeRecord old = Records.Read().ShouldNotBeNull();
        Records.TryReplace(old, old with { Term = 2 }).Done.ShouldBeTrue();
        File.ReadAllText(Records.Path).ShouldContain("\"sha256\"");
        System.Text.Json.JsonDocument.Parse(File.ReadAllText(Records.Path)).RootElement.GetProperty("term").GetInt64().ShouldBe(2);
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
