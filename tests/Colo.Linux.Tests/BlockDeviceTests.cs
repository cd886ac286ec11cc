using Colo.Blocks;
using Colo.Testing;

namespace Colo.Linux.Tests;

/// <summary>A real block device: a loop device over a file.</summary>
public sealed class BlockDeviceTests : IAsyncLifetime
{
    private const int Length = 8 << 20;
    private readonly TempDirectory directory = new();
    private string device = string.Empty;

    public async ValueTask InitializeAsync()
    {
        await using (RawFile.Create(directory.File("backing"), Length))
        {
        }

        device = (await Tool.RunAsync("losetup", "--find", "--show", directory.File("backing"))).EnsureSuccess().Trim();
    }

    public async ValueTask DisposeAsync()
    {
        (await Tool.RunAsync("losetup", "--detach", device)).EnsureSuccess();
        directory.Dispose();
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_block_device_is_a_disk(bool direct)
    {
        await using RawFile disk = RawFile.Open(device, new RawFileOptions { DirectIo = direct });
        disk.LengthBytes.ShouldBe(Length);
        byte[] bytes = new byte[100_000];
        new Random(11).NextBytes(bytes);
        await disk.WriteExactlyAsync(777, bytes);
        (await disk.WriteZeroesAsync(new BlockRange(1000, 20_001))).ShouldBe(BlockStatus.Ok);
        bytes.AsSpan(223, 20_001).Clear();
        (await disk.WriteZeroesAsync(new BlockRange(65_536, 4096), RequestFlags.MayUnmap)).ShouldBe(BlockStatus.Ok);
        bytes.AsSpan(65_536 - 777, 4096).Clear();
        byte[] read = new byte[bytes.Length];
        await disk.ReadExactlyAsync(777, read);
        read.AsSpan().SequenceEqual(bytes).ShouldBeTrue();
        await disk.FlushOrThrowAsync();
        byte[] backing = await File.ReadAllBytesAsync(directory.File("backing"));
        backing.AsSpan(777, bytes.Length).SequenceEqual(bytes).ShouldBeTrue("flushed down to the backing file");
    }

    [Fact]
    public async Task A_discard_frees_the_space_below()
    {
        await using RawFile disk = RawFile.Open(device);
        disk.Capabilities.CanDiscard.ShouldBeTrue();
        byte[] bytes = new byte[1 << 20];
        bytes.AsSpan().Fill(5);
        await disk.WriteExactlyAsync(0, bytes);
        await disk.FlushOrThrowAsync();
        (await disk.DiscardAsync(new BlockRange(1, (1 << 20) - 1))).ShouldBe(BlockStatus.Ok);
        byte[] read = new byte[1 << 20];
        await disk.ReadExactlyAsync(0, read);
        read[..512].ShouldBe(bytes[..512], "the block that the range covers in part stays");
        read.AsSpan(512).IsAllZero().ShouldBeTrue();
    }

    [Fact]
    public async Task Fast_zeroes_of_parts_of_blocks_change_nothing()
    {
        await using RawFile disk = RawFile.Open(device);
        byte[] bytes = [.. Enumerable.Repeat((byte)3, 4096)];
        await disk.WriteExactlyAsync(0, bytes);
        (await disk.WriteZeroesAsync(new BlockRange(100, 1000), RequestFlags.FastOnly | RequestFlags.MayUnmap))
            .ShouldBe(BlockStatus.NotSupported);
        byte[] read = new byte[4096];
        await disk.ReadExactlyAsync(0, read);
        read.ShouldBe(bytes);
    }

    [Fact]
    public async Task Its_extents_are_data()
    {
        await using RawFile disk = RawFile.Open(device);
        List<BlockExtent> extents = [];
        (await disk.GetExtentsAsync(new BlockRange(512, 4096), extents)).ShouldBe(BlockStatus.Ok);
        extents.ShouldBe([new BlockExtent(new BlockRange(512, 4096), ExtentKind.Data)]);
    }

    [Fact]
    public async Task A_mounted_device_is_not_opened_for_writing()
    {
        (await Tool.RunAsync("mkfs.ext4", "-q", device)).EnsureSuccess();
        using TempDirectory mountPoint = new();
        (await Tool.RunAsync("mount", device, mountPoint.Path)).EnsureSuccess();
        try
        {
            FileOpenException e = Should.Throw<FileOpenException>(() => RawFile.Open(device));
            e.Error.ShouldBe(FileOpenError.Busy);
            e.Message.ShouldContain(device);
        }
        finally
        {
            (await Tool.RunAsync("umount", mountPoint.Path)).EnsureSuccess();
        }
    }

    [Fact]
    public async Task Two_openers_of_one_device_exclude_each_other()
    {
        await using RawFile disk = RawFile.Open(device);
        Should.Throw<FileOpenException>(() => RawFile.Open(device)).Error.ShouldBeOneOf(FileOpenError.Busy, FileOpenError.Locked);
    }
}
