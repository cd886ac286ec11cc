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
}
