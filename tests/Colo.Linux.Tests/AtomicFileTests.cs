using Colo.Testing;

namespace Colo.Linux.Tests;

public sealed class AtomicFileTests
{
    [Fact]
    public void It_reads_what_was_written_last_with_a_rising_sequence()
    {
        using TempDirectory directory = new();
        AtomicFile file = new(directory.File("state"), "TERM");
        file.Read().ShouldBeNull();
        long first = file.Write([1, 2, 3]);
        long second = file.Write([]);
        second.ShouldBeGreaterThan(first);
        AtomicFileContent content = new AtomicFile(file.Path, "TERM").Read().ShouldNotBeNull();
        content.Sequence.ShouldBe(second);
        content.Bytes.Length.ShouldBe(0);
        new AtomicFile(file.Path, "TERM").Write([9]).ShouldBeGreaterThan(second);
    }

    [Fact]
    public void Every_single_flipped_bit_is_recognised()
    {
        using TempDirectory directory = new(onTmpfs: true);
        AtomicFile file = new(directory.File("state"), "TERM");
        file.Write([1, 2, 3, 4, 5, 6, 7, 8, 9]);
        byte[] good = File.ReadAllBytes(file.Path);
        for (int bit = 0; bit < good.Length * 8; bit++)
        {
            byte[] bad = [.. good];
            bad[bit / 8] ^= (byte)(1 << (bit % 8));
            File.WriteAllBytes(file.Path, bad);
            Should.Throw<StateFileException>(() => new AtomicFile(file.Path, "TERM").Read(), $"bit {bit}");
        }
    }

    [Fact]
    public void Every_torn_length_is_recognised()
    {
        using TempDirectory directory = new(onTmpfs: true);
        AtomicFile file = new(directory.File("state"), "TERM");
        file.Write([1, 2, 3, 4, 5]);
        byte[] good = File.ReadAllBytes(file.Path);
        for (int length = 0; length < good.Length; length++)
        {
            File.WriteAllBytes(file.Path, good[..length]);
            Should.Throw<StateFileException>(() => new AtomicFile(file.Path, "TERM").Read()).Error.ShouldBe(StateFileError.Torn);
        }

        File.WriteAllBytes(file.Path, [.. good, 0]);
        Should.Throw<StateFileException>(() => new AtomicFile(file.Path, "TERM").Read()).Error.ShouldBe(StateFileError.Torn);
    }

    [Fact]
    public void A_file_put_back_from_a_backup_is_recognised()
    {
        using TempDirectory directory = new();
        AtomicFile file = new(directory.File("state"), "TERM");
        long old = file.Write([1]);
        byte[] backup = File.ReadAllBytes(file.Path);
        long now = file.Write([2]);
        File.WriteAllBytes(file.Path, backup);
        Should.Throw<StateFileException>(() => file.Read()).Error.ShouldBe(StateFileError.RolledBack);
        AtomicFile afterRestart = new(file.Path, "TERM");
        Should.Throw<StateFileException>(() => afterRestart.Read(minimumSequence: now)).Error.ShouldBe(StateFileError.RolledBack);
        afterRestart.Read(minimumSequence: old)!.Bytes.ToArray().ShouldBe([1]);
        File.Delete(file.Path);
        Should.Throw<StateFileException>(() => file.Read()).Error.ShouldBe(StateFileError.RolledBack);
    }

    [Fact]
    public void State_of_another_kind_or_a_newer_version_is_refused()
    {
        using TempDirectory directory = new();
        AtomicFile file = new(directory.File("state"), "TERM");
        file.Write([1]);
        Should.Throw<StateFileException>(() => new AtomicFile(file.Path, "BITMAP").Read()).Error.ShouldBe(StateFileError.WrongKind);
        byte[] newer = File.ReadAllBytes(file.Path);
        newer[8]++;
        File.WriteAllBytes(file.Path, newer);
        Should.Throw<StateFileException>(() => new AtomicFile(file.Path, "TERM").Read()).Error.ShouldBe(StateFileError.UnknownVersion);
    }

    [Fact]
    public void A_file_that_cannot_be_read_is_not_overwritten()
    {
        using TempDirectory directory = new();
        File.WriteAllText(directory.File("state"), "something of the administrator's");
        AtomicFile file = new(directory.File("state"), "TERM");
        Should.Throw<StateFileException>(() => file.Write([1])).Message.ShouldContain(file.Path);
        File.ReadAllText(file.Path).ShouldBe("something of the administrator's");
    }

    [Fact]
    public void What_a_crash_left_beside_it_is_not_read_and_does_not_disturb()
    {
        using TempDirectory directory = new();
        AtomicFile file = new(directory.File("state"), "TERM");
        file.Write([1]);
        File.WriteAllBytes(file.Path + ".new", new byte[1000]);
        new AtomicFile(file.Path, "TERM").Read()!.Bytes.ToArray().ShouldBe([1]);
        file.Write([2]);
        file.Read()!.Bytes.ToArray().ShouldBe([2]);
        Directory.GetFiles(directory.Path).ShouldHaveSingleItem();
    }

    [Fact]
    public void Content_of_a_newer_version_is_refused_by_name_and_older_content_tells_its_version()
    {
        using TempDirectory directory = new();
        AtomicFile first = new(directory.File("state"), "TERM");
        first.Write([1]);
        AtomicFile second = new(first.Path, "TERM", contentVersion: 2);
        second.Read().ShouldNotBeNull().Version.ShouldBe(1);
        second.Write([2]);
        second.Read().ShouldNotBeNull().Version.ShouldBe(2);
        StateFileException refusal = Should.Throw<StateFileException>(() => new AtomicFile(first.Path, "TERM").Read());
        refusal.Error.ShouldBe(StateFileError.UnknownVersion);
        refusal.Message.ShouldContain("newer program");
        Should.Throw<StateFileException>(() => new AtomicFile(first.Path, "TERM").Write([3]), "nor is it overwritten");
    }

    [Fact]
    public void A_file_from_before_it_had_a_checksum_is_read_once_and_rewritten()
    {
        using TempDirectory directory = new();
        File.WriteAllText(directory.File("state"), "term 7");
        static byte[]? Older(ReadOnlyMemory<byte> file) =>
            System.Text.Encoding.ASCII.GetString(file.Span) is ['t', 'e', 'r', 'm', ' ', var digit] ? [(byte)(digit - '0')] : null;
        new AtomicFile(directory.File("state"), "TERM", 1, Older).Read()!.Bytes.ToArray().ShouldBe([7]);
        new AtomicFile(directory.File("state"), "TERM").Read()!.Bytes.ToArray().ShouldBe([7], "it has a header now");
        File.WriteAllText(directory.File("state"), "ter");
        Should.Throw<StateFileException>(() => new AtomicFile(directory.File("state"), "TERM", 1, Older).Read())
            .Error.ShouldBe(StateFileError.Torn);
    }

    [Fact]
    public void What_cannot_be_looked_at_is_not_taken_for_nothing()
    {
        using TempDirectory directory = new();
        Directory.CreateDirectory(directory.File("state"));
        Should.Throw<StateFileException>(() => new AtomicFile(directory.File("state"), "TERM").Read()).Error.ShouldBe(StateFileError.Io);
        string loop = directory.File("loop");
        File.CreateSymbolicLink(loop, loop);
        Should.Throw<StateFileException>(() => new AtomicFile(loop, "TERM").Read()).Error.ShouldBe(StateFileError.Io);
        Should.Throw<StateFileException>(() => new AtomicFile(loop, "TERM").Write([1])).Error.ShouldBe(StateFileError.Io);
    }

    [Fact]
    public void A_removed_file_is_gone_with_what_a_crash_left_beside_it_and_counts_anew()
    {
        using TempDirectory directory = new();
        AtomicFile file = new(directory.File("state"), "TERM");
        file.Delete();
        file.Write([1]);
        File.WriteAllBytes(file.Path + ".new", [1]);
        file.Delete();
        Directory.GetFiles(directory.Path).ShouldBeEmpty();
        file.Read().ShouldBeNull();
        file.Write([2]).ShouldBe(1);
        new AtomicFile(directory.File("none/state"), "TERM").Delete();
    }

    [Fact]
    public void Directories_are_made_and_removed_with_all_that_is_in_them()
    {
        using TempDirectory directory = new();
        string leaf = Path.Combine(directory.Path, "a", "b", "c");
        Directories.Create(leaf);
        Directories.Create(leaf);
        File.WriteAllText(Path.Combine(leaf, "file"), "x");
        Directories.Delete(Path.Combine(directory.Path, "a"));
        Directories.Delete(Path.Combine(directory.Path, "a"));
        Directory.Exists(Path.Combine(directory.Path, "a")).ShouldBeFalse();
    }
}
