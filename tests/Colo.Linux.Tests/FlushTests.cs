using Colo.Blocks;
using Colo.Testing;

namespace Colo.Linux.Tests;

public sealed class FlushTests
{
    [Fact]
    public async Task A_flush_does_not_ride_on_an_fdatasync_that_began_before_it()
    {
        using TempDirectory directory = new(onTmpfs: true);
        await using RawFile file = RawFile.Create(directory.File("disk"), 4096);
        using SemaphoreSlim begun = new(0);
        using SemaphoreSlim goOn = new(0);
        int syncs = 0;
        Durability durability = new(file.Descriptor, () =>
        {
            Interlocked.Increment(ref syncs);
            begun.Release();
            goOn.Wait();
            return BlockStatus.Ok;
        });

        IoRequest first = new(file);
        durability.Join(first).ShouldBeTrue();
        Task worker = Task.Run(durability.RunGroups);
        await begun.WaitAsync();

        IoRequest late = new(file);
        IoRequest later = new(file);
        ValueTask<BlockStatus> lateAnswer = late.Task;
        ValueTask<BlockStatus> laterAnswer = later.Task;
        durability.Join(late).ShouldBeFalse("a worker is at it");
        durability.Join(later).ShouldBeFalse();
        goOn.Release();
        (await first.Task).ShouldBe(BlockStatus.Ok);
        await begun.WaitAsync();
        lateAnswer.IsCompleted.ShouldBeFalse("its own fdatasync has not ended");
        goOn.Release();
        (await lateAnswer).ShouldBe(BlockStatus.Ok);
        (await laterAnswer).ShouldBe(BlockStatus.Ok);
        await worker;
        syncs.ShouldBe(2, "the two that came late share one");
    }

    [Theory]
    [InlineData(RequestFlags.None)]
    [InlineData(RequestFlags.ForceUnitAccess)]
    public async Task After_a_failed_flush_every_later_flush_fails_until_the_disk_is_opened_anew(RequestFlags flags)
    {
        // A loop device over a sparse file on a full tmpfs: the page cache takes the write, the medium below cannot.
        using TempDirectory directory = new();
        (await Tool.RunAsync("mount", "-t", "tmpfs", "-o", "size=1M", "colo-test", directory.Path)).EnsureSuccess();
        string device = string.Empty;
        try
        {
            await RawFile.Create(directory.File("backing"), 8 << 20).DisposeAsync();
            device = (await Tool.RunAsync("losetup", "--find", "--show", directory.File("backing"))).EnsureSuccess().Trim();
            await using (RawFile disk = RawFile.Open(device))
            {
                BlockStatus written = await disk.WriteAsync(0, new byte[4 << 20].Select(_ => (byte)1).ToArray(), flags);
                written.ShouldBe(flags == RequestFlags.None ? BlockStatus.Ok : BlockStatus.IoError);
                if (flags == RequestFlags.None)
                {
                    (await disk.FlushAsync()).ShouldBe(BlockStatus.IoError);
                }

                disk.FlushFailure.ShouldBe(BlockStatus.IoError);

                // Linux would answer success from here on: the failure has been reported once, the lost pages are clean.
                (await disk.FlushAsync()).ShouldBe(BlockStatus.IoError);
                (await disk.WriteAsync(0, new byte[512], RequestFlags.ForceUnitAccess)).ShouldBe(BlockStatus.IoError);
                (await disk.FlushAsync()).ShouldBe(BlockStatus.IoError);
                (await disk.ReadAsync(0, new byte[512])).ShouldBe(BlockStatus.Ok);
            }

            (await Tool.RunAsync("mount", "-o", "remount,size=16M", directory.Path)).EnsureSuccess();
            await using RawFile again = RawFile.Open(device);
            await again.WriteExactlyAsync(0, new byte[4096]);

            // A failed FUA leaves its bytes in the page cache; their later failure nobody has asked for is the new opener's to hear, once.
            if (flags == RequestFlags.None)
            {
                (await again.FlushAsync()).ShouldBe(BlockStatus.Ok);
            }
        }
        finally
        {
            if (device.Length > 0)
            {
                (await Tool.RunAsync("losetup", "--detach", device)).EnsureSuccess();
            }

            (await Tool.RunAsync("umount", directory.Path)).EnsureSuccess();
        }
    }
}
