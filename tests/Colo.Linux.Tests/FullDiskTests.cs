using Colo.Blocks;
using Colo.Testing;

namespace Colo.Linux.Tests;

/// <summary>A file system that really is full: a tmpfs of two mebibytes.</summary>
public sealed class FullDiskTests : IAsyncLifetime
{
    private readonly TempDirectory directory = new();

    public async ValueTask InitializeAsync() =>
        (await Tool.RunAsync("mount", "-t", "tmpfs", "-o", "size=2M", "colo-test", directory.Path)).EnsureSuccess();

    public async ValueTask DisposeAsync()
    {
        (await Tool.RunAsync("umount", directory.Path)).EnsureSuccess();
        directory.Dispose();
    }

    [Fact]
    public async Task A_write_to_a_full_file_system_answers_ENOSPC_and_earlier_data_stays()
    {
        await using RawFile file = RawFile.Create(directory.File("disk"), 16 << 20);
        byte[] block = new byte[64 << 10];
        block.AsSpan().Fill(9);
        BlockStatus status = BlockStatus.Ok;
        long offset = 0;
        while (status == BlockStatus.Ok)
        {
            status = await file.WriteAsync(offset, block);
            offset += status == BlockStatus.Ok ? block.Length : 0;
        }

        status.ShouldBe(BlockStatus.NoSpace);
        offset.ShouldBeInRange(1 << 20, 2 << 20);
        byte[] read = new byte[offset];
        await file.ReadExactlyAsync(0, read);
        read.ShouldAllBe(b => b == 9);

        // Space given back can be used again.
        (await file.DiscardAsync(new BlockRange(0, block.Length))).ShouldBe(BlockStatus.Ok);
        (await file.WriteAsync(8 << 20, block.AsMemory(0, block.Length / 2))).ShouldBe(BlockStatus.Ok);
    }

    [Fact]
    public async Task A_FUA_write_that_finds_no_space_does_not_poison_later_flushes()
    {
        await using RawFile file = RawFile.Create(directory.File("disk"), 16 << 20);
        (await file.WriteAsync(0, new byte[4 << 20], RequestFlags.ForceUnitAccess)).ShouldBe(BlockStatus.NoSpace);
        (await file.FlushAsync()).ShouldBe(BlockStatus.Ok);
    }

    [Fact]
    public void A_preallocation_that_does_not_fit_leaves_no_file_behind()
    {
        FileOpenException e = Should.Throw<FileOpenException>(() => RawFile.Create(directory.File("disk"), 16 << 20, preallocate: true));
        e.Error.ShouldBe(FileOpenError.NoSpace);
        e.Message.ShouldContain(directory.File("disk"));
        File.Exists(directory.File("disk")).ShouldBeFalse();
    }

    [Fact]
    public void A_state_file_that_cannot_be_replaced_keeps_its_old_content()
    {
        AtomicFile state = new(directory.File("state"), "TERM");
        state.Write([1, 2, 3]);
        Should.Throw<StateFileException>(() => state.Write(new byte[4 << 20])).Error.ShouldBe(StateFileError.Io);
        new AtomicFile(directory.File("state"), "TERM").Read()!.Bytes.ToArray().ShouldBe([1, 2, 3]);
    }
}
