using Colo.Blocks;
using Colo.Testing.Disks;
using Colo.Linux;
using Colo.Testing;

namespace Colo.Chaos.Tests;

/// <summary>The disk that can fail: an agent's files live on it as on any other file system, and meet each fault where a real disk has it.</summary>
public sealed class FaultyDiskTests
{
    private const int Block = 4096;

    [Fact]
    public async Task An_agents_files_are_on_it_what_they_are_elsewhere()
    {
        using TempDirectory root = new(onTmpfs: true);
        await using FaultyDisk disk = await CreateAsync(root);
        string directory = Path.Combine(disk.Directory, "uid"), path = Path.Combine(directory, "disk.raw");
        Directory.CreateDirectory(directory);
        await using (RawFile file = RawFile.Create(path, 64 * Block, preallocate: false))
        {
            byte[] written = [.. Enumerable.Repeat((byte)7, Block)], read = new byte[Block];
            (await file.WriteAsync(5 * Block, written)).ShouldBe(BlockStatus.Ok);
            (await file.FlushAsync()).ShouldBe(BlockStatus.Ok);
            (await file.ReadAsync(5 * Block, read)).ShouldBe(BlockStatus.Ok);
            read.ShouldBe(written);
            Should.Throw<FileOpenException>(() => RawFile.Open(path)).Error.ShouldBe(FileOpenError.Locked);
        }

        string identity = FileIdentity.Settled(path).Name;
        identity.ShouldContain(" of ", Case.Sensitive, "the time of birth is passed on");
        AtomicFile state = new(Path.Combine(directory, "state"), "TEST");
        state.Write([1]);
        state.Write([2]);
        new AtomicFile(state.Path, "TEST").Read()!.Bytes.ToArray().ShouldBe([2]);
        File.Move(path, path + ".moved");
        FileIdentity.Of(path + ".moved").Name.ShouldBe(identity);
        Directory.EnumerateFiles(directory).Select(Path.GetFileName).Order().ShouldBe(["disk.raw.moved", "state"]);
        Directory.EnumerateFiles(Path.Combine(disk.Below, "uid")).Count().ShouldBe(2);
    }

    [Fact]
    public async Task A_failing_disk_answers_EIO_until_it_is_well_and_has_lost_nothing_that_it_had_answered()
    {
        using TempDirectory root = new(onTmpfs: true);
        await using FaultyDisk disk = await CreateAsync(root);
        string path = Path.Combine(disk.Directory, "disk.raw");
        byte[] ones = [.. Enumerable.Repeat((byte)1, Block)], twos = [.. Enumerable.Repeat((byte)2, Block)], read = new byte[Block];
        await using (RawFile file = RawFile.Create(path, 4 * Block, preallocate: false))
        {
            (await file.WriteAsync(0, ones)).ShouldBe(BlockStatus.Ok);
            Func<Task> heal = await disk.FailAsync();
            (await file.WriteAsync(0, twos)).ShouldBe(BlockStatus.IoError);
            (await file.FlushAsync()).ShouldBe(BlockStatus.IoError);
            Should.Throw<IOException>(() => File.WriteAllText(path + ".new", ""));
            await heal();
            (await file.FlushAsync()).ShouldBe(BlockStatus.IoError, "what a failed flush lost stays lost for this descriptor");
        }

        await using RawFile again = RawFile.Open(path);
        (await again.FlushAsync()).ShouldBe(BlockStatus.Ok);
        (await again.ReadAsync(0, read)).ShouldBe(BlockStatus.Ok);
        read.ShouldBe(ones);
    }

    [Fact]
    public async Task A_disk_that_hangs_answers_when_it_goes_on_and_a_full_one_when_there_is_space()
    {
        using TempDirectory root = new(onTmpfs: true);
        await using FaultyDisk disk = await CreateAsync(root);
        await using RawFile file = RawFile.Create(Path.Combine(disk.Directory, "disk.raw"), 4 * Block, preallocate: false);
        Func<Task> goOn = await disk.HangAsync();
        Task<BlockStatus> flush = file.FlushAsync().AsTask();
        flush.IsCompleted.ShouldBeFalse();
        await goOn();
        (await flush).ShouldBe(BlockStatus.Ok);

        Func<Task> empty = await disk.FillAsync();
        (await file.WriteAsync(0, new byte[Block])).ShouldBe(BlockStatus.NoSpace);
        await empty();
        (await file.WriteAsync(0, new byte[Block])).ShouldBe(BlockStatus.Ok);
    }

    private static Task<FaultyDisk> CreateAsync(TempDirectory root)
    {
        Assert.SkipUnless(Environment.IsPrivilegedProcess, "only root mounts");
        return FaultyDisk.CreateAsync(root.Path, "colo-chaos-test", canFail: true);
    }
}
