using System.Globalization;
using System.Text;

namespace Colo.PowerCut.Tests;

/// <summary>The reader of the recording and the model of a disk with a cache, on recordings of a few lines.</summary>
public sealed class ModelTests
{
    private const string Root = "/r/a";

    [Fact]
    public void A_call_that_another_interrupts_is_one_call_from_its_beginning_to_its_end()
    {
        SystemCallLog log = Read(
            $"1 1.000000001 fdatasync(7{Fd("f")} <unfinished ...>",
            $"2 1.000000002 pwrite64(7{Fd("f")}, {Hex("ab")}, 2, 10) = 2",
            "1 1.000000009 <... fdatasync resumed>) = 0",
            "2 1.000000010 --- SIGCHLD {si_signo=SIGCHLD} ---",
            "2 1.000000011 +++ exited with 0 +++");
        log.Calls.Select(c => c.Name).ShouldBe(["pwrite64", "fdatasync"]);
        log.Calls[1].Begin.ShouldBe(0);
        log.Calls[1].End.ShouldBe(3);
        log.Calls[0].Result.ShouldBe(2);
        log.Calls[0].Arguments.ShouldBe([$"7{Fd("f")}", Hex("ab"), "2", "10"]);
        log.StepTimes[3].ShouldBe(1_000_000_009);
    }

    [Fact]
    public void A_call_of_a_killed_process_may_have_happened()
    {
        SystemCallLog log = Read(Open("f"), $"1 2.0 pwrite64(7{Fd("f")}, {Hex("ab")}, 2, 0 <unfinished ...>", "1 3.0 +++ killed by SIGKILL +++");
        HashSet<string> seen = Torn(log, "f");
        seen.ShouldBe(["(none)", "", "ab", "00"], ignoreOrder: true);
    }

    [Fact]
    public void What_was_written_after_a_sync_had_begun_is_not_made_durable_by_it()
    {
        SystemCallLog log = Read(
            Open("f"), SyncRoot(),
            $"1 1.1 fdatasync(7{Fd("f")} <unfinished ...>",
            $"2 1.2 pwrite64(7{Fd("f")}, {Hex("ab")}, 2, 0) = 2",
            "1 1.3 <... fdatasync resumed>) = 0");
        Image(log, CutKind.NothingMore).ShouldContainKeyAndValue("f", "");
        Image(log, CutKind.EverythingMore).ShouldContainKeyAndValue("f", "ab");
    }

    [Fact]
    public void A_synced_file_whose_name_was_not_synced_may_be_gone_and_a_rename_may_not_have_happened()
    {
        string[] made =
        [
            Open("f"), $"1 1.1 pwrite64(7{Fd("f")}, {Hex("old")}, 3, 0) = 3", $"1 1.2 fsync(7{Fd("f")}) = 0", SyncRoot(),
            Open("n"), $"1 1.3 pwrite64(7{Fd("n")}, {Hex("new")}, 3, 0) = 3", $"1 1.4 fsync(7{Fd("n")}) = 0",
            $"1 1.5 rename({Hex(Root + "/n")}, {Hex(Root + "/f")}) = 0",
        ];
        Torn(Read(made), "f").ShouldBe(["old", "new"], ignoreOrder: true);
        Torn(Read([.. made, SyncRoot()]), "f").ShouldBe(["new"]);
        Image(Read(made), CutKind.NothingMore).ShouldNotContainKey("n");
    }

    [Fact]
    public void A_write_is_torn_at_sectors_and_a_durable_one_is_not()
    {
        string two = new string('a', 512) + new string('b', 512);
        SystemCallLog log = Read(Open("f"), SyncRoot(), $"1 1.1 pwrite64(7{Fd("f")}, {Hex(two)}, 1024, 0) = 1024");
        HashSet<string> seen = Torn(log, "f");
        seen.ShouldContain(new string('a', 512));
        seen.ShouldContain(new string('0', 512) + new string('b', 512));
        seen.ShouldAllBe(s => s.Replace("a", "").Replace("b", "").Replace("0", "").Length == 0);
        Torn(Read(Open("f"), SyncRoot(), $"1 1.1 pwritev2(7{Fd("f")}, [{{iov_base={Hex(two)}, iov_len=1024}}], 1, 0, RWF_DSYNC) = 1024"), "f")
            .ShouldBe([two]);
    }

    [Fact]
    public void A_call_that_is_not_modelled_is_not_overlooked() =>
        Should.Throw<ShouldAssertException>(() => Image(
            Read(Open("f"), $"1 1.1 write(7{Fd("f")}, {Hex("x")}, 1) = 1"), CutKind.NothingMore)).Message.ShouldContain("not modelled");

    private static HashSet<string> Torn(SystemCallLog log, string file)
    {
        Random random = new(7);
        return [.. Enumerable.Range(0, 400).Select(_ => Image(log, CutKind.Torn, random).GetValueOrDefault(file, "(none)"))];
    }

    /// <summary>At the end of a recording: files by name, zero bytes shown as 0.</summary>
    private static Dictionary<string, string> Image(SystemCallLog log, CutKind kind, Random? random = null)
    {
        RecordedFiles files = new(["/r"], "/r/records");
        files.Apply(log);
        CrashImage image = new(files, log.StepTimes.Count - 1, kind, random ?? new Random(1));
        return image.Entries().ToDictionary(
            e => Path.GetFileName(e.Key), e => Encoding.ASCII.GetString(image.Content(e.Value)).Replace('\0', '0'), StringComparer.Ordinal);
    }

    private static SystemCallLog Read(params string[] lines) => StraceLog.Parse(lines.SelectMany(l => l.Split('\n')));

    private static string Open(string name) =>
        $"1 1.0 openat(AT_FDCWD<{Raw("/")}>, {Hex(Root + "/" + name)}, O_RDWR|O_CREAT|O_CLOEXEC, 0600) = 7{Fd(name)}";

    private static string SyncRoot() =>
        $"1 1.0 openat(AT_FDCWD<{Raw("/")}>, {Hex(Root)}, O_RDONLY|O_DIRECTORY) = 8<{Raw(Root)}>\n1 1.0 fsync(8<{Raw(Root)}>) = 0";

    private static string Fd(string name) => $"<{Raw(Root + "/" + name)}>";

    private static string Hex(string text) => $"\"{Raw(text)}\"";

    private static string Raw(string text) =>
        string.Concat(Encoding.UTF8.GetBytes(text).Select(b => string.Create(CultureInfo.InvariantCulture, $"\\x{b:x2}")));
}
