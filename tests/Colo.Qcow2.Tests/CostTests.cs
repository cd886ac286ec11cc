using Colo.Blocks;
using Colo.Testing;

namespace Colo.Qcow2.Tests;

/// <summary>What a copy-before-write buffer pays for: writes to the file, and memory, per request.</summary>
public class CostTests
{
    private const long OneTebibyte = 1L << 40;
    private const int Grain = 4096;

    [Fact]
    public async Task The_default_layout_has_grains_of_4_KiB()
    {
        await using Qcow2Image image = await Qcow2Image.CreateAsync(new MemoryImageFile(), Qcow2CreateOptions.ForBuffer(OneTebibyte));

        image.GrainBytes.ShouldBe(Grain);
        image.ClusterBytes.ShouldBe(128 * 1024);
    }

    [Fact]
    public async Task Making_an_image_of_a_tebibyte_takes_three_small_writes()
    {
        MemoryImageFile file = new();

        await using Qcow2Image image = await Qcow2Image.CreateAsync(file, Qcow2CreateOptions.ForBuffer(OneTebibyte));

        file.Writes.ShouldBe(3);
        file.Changes.Sum(change => change.Bytes?.Length ?? 0).ShouldBeLessThan(512);
        file.Flushes.ShouldBe(0);
    }

    [Fact]
    public async Task The_first_write_into_a_cluster_costs_data_and_entry_and_seldom_a_refcount()
    {
        MemoryImageFile file = new();
        await using Qcow2Image image = await Qcow2Image.CreateAsync(file, Qcow2CreateOptions.ForBuffer(64 << 20));
        await WriteAsync(image, 0);
        int before = file.Writes;

        for (int i = 1; i <= 100; i++)
        {
            await WriteAsync(image, i * 128L * 1024);
        }

        // 100 data, 100 entries, and one refcount write for each run of 32 clusters.
        (file.Writes - before).ShouldBeLessThanOrEqualTo(204);
    }

    [Fact]
    public async Task A_write_into_a_new_grain_costs_data_and_a_16_byte_entry_and_into_an_old_one_data_alone()
    {
        MemoryImageFile file = new();
        await using Qcow2Image image = await Qcow2Image.CreateAsync(file, Qcow2CreateOptions.ForBuffer(64 << 20));
        await WriteAsync(image, 0);
        int before = file.Changes.Count;

        await WriteAsync(image, Grain);
        List<FileChange> first = file.Changes[before..];
        before = file.Changes.Count;
        await WriteAsync(image, Grain);

        first.Select(change => change.Length).ShouldBe([Grain, 16]);
        file.Changes[before..].Select(change => change.Length).ShouldBe([Grain]);
    }

    [Fact]
    public async Task One_large_write_into_new_clusters_is_one_data_write_and_one_entry_write()
    {
        MemoryImageFile file = new();
        await using Qcow2Image image = await Qcow2Image.CreateAsync(file, Qcow2CreateOptions.ForBuffer(64 << 20));
        await WriteAsync(image, 0);
        int before = file.Changes.Count;

        (await image.WriteAsync(1 << 20, new byte[1 << 20])).ShouldBe(BlockStatus.Ok);

        file.Changes[before..].Select(change => change.Length).ShouldBe([1 << 20, 8 * 16]);
    }

    [Fact]
    public async Task Reads_and_writes_of_mapped_and_new_grains_allocate_nothing_and_never_suspend()
    {
        using TempDirectory directory = new(onTmpfs: true);
        await using Qcow2Image image = await Qcow2Image.CreateAsync(ImageFile.Create(directory.File("buffer")), Qcow2CreateOptions.ForBuffer(256 << 20));
        byte[] data = new byte[Grain];
        Touch(image, data, 0, 100);

        // The slices of the range and the refcount block are in memory now; what follows is the steady state.
        Touch(image, data, Grain, 1);
        long before = GC.GetAllocatedBytesForCurrentThread();
        Touch(image, data, 2 * Grain, 100);
        long allocated = GC.GetAllocatedBytesForCurrentThread() - before;

        allocated.ShouldBe(0);
    }

    [Fact]
    public async Task Allocated_bytes_grow_by_the_grains_that_are_held_and_fall_when_emptied()
    {
        MemoryImageFile file = new() { Records = false };
        await using Qcow2Image image = await Qcow2Image.CreateAsync(file, Qcow2CreateOptions.ForBuffer(64 << 20));
        long empty = image.AllocatedBytes;
        for (int i = 0; i < 10; i++)
        {
            await WriteAsync(image, i * 8L * Grain);
        }

        long held = image.AllocatedBytes;
        await using (Qcow2Image reopened = await Qcow2Image.OpenAsync(new MemoryImageFile(file.Snapshot()), new() { ReadOnly = true }))
        {
            reopened.AllocatedBytes.ShouldBe(held);
        }

        (held - empty).ShouldBe((10 * Grain) + (128 * 1024));
        (await image.MakeEmptyAsync()).ShouldBe(BlockStatus.Ok);
        image.AllocatedBytes.ShouldBe(empty);
    }

    [Fact]
    public async Task Emptying_costs_the_same_for_little_and_for_much()
    {
        (await EmptyingWritesAsync(grains: 10)).ShouldBe(await EmptyingWritesAsync(grains: 4000));
    }

    private static async Task<int> EmptyingWritesAsync(int grains)
    {
        MemoryImageFile file = new() { Records = false };
        await using Qcow2Image image = await Qcow2Image.CreateAsync(file, Qcow2CreateOptions.ForBuffer(1L << 30));
        for (int i = 0; i < grains; i++)
        {
            await WriteAsync(image, i * 2L * Grain);
        }

        int before = file.Writes;
        (await image.MakeEmptyAsync()).ShouldBe(BlockStatus.Ok);
        return file.Writes - before;
    }

    private static void Touch(Qcow2Image image, byte[] data, long offset, int count)
    {
        for (int i = 0; i < count; i++)
        {
            ValueTask<BlockStatus> write = image.WriteAsync(offset + (i * 128L * 1024), data);
            ValueTask<BlockStatus> again = image.WriteAsync(offset + (i * 128L * 1024), data);
            ValueTask<BlockStatus> read = image.ReadAsync(offset + (i * 128L * 1024), data);
            bool atOnce = write.IsCompletedSuccessfully && again.IsCompletedSuccessfully && read.IsCompletedSuccessfully;
            if (!atOnce || (write.Result | again.Result | read.Result) != BlockStatus.Ok)
            {
                throw new InvalidOperationException("a request suspended or failed");
            }
        }
    }

    private static async Task WriteAsync(Qcow2Image image, long offset) =>
        (await image.WriteAsync(offset, new byte[Grain])).ShouldBe(BlockStatus.Ok);
}
