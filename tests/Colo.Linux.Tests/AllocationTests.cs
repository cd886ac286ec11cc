using Colo.Blocks;
using Colo.Testing;

namespace Colo.Linux.Tests;

/// <summary>Alone in the process while they count: allocations of other tests would be counted with theirs.</summary>
[CollectionDefinition(nameof(AllocationTests), DisableParallelization = true)]
[Collection(nameof(AllocationTests))]
public sealed class AllocationTests
{
    private const int Blocks = 1000;
    private const int BlockBytes = 4096;

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Cached_reads_and_writes_complete_at_once_and_allocate_nothing(bool onTmpfs)
    {
        using TempDirectory directory = new(onTmpfs);
        await using RawFile file = RawFile.Create(directory.File("disk"), Blocks * BlockBytes);
        byte[] block = new byte[BlockBytes];
        CountLate(file, block, 2_000);
        long before = GC.GetAllocatedBytesForCurrentThread();
        int late = CountLate(file, block, 10_000);
        (GC.GetAllocatedBytesForCurrentThread() - before).ShouldBe(0);
        late.ShouldBe(0, "requests that did not complete at once");
    }

    [Fact]
    public async Task The_slow_path_allocates_nothing_once_it_is_warm()
    {
        using TempDirectory directory = new(onTmpfs: true);
        await using RawFile file = RawFile.Create(
            directory.File("disk"), Blocks * BlockBytes, options: new RawFileOptions { DirectIo = true });
        using PooledBuffer buffer = BufferPool.Shared.Rent(BlockBytes);
        await CountFailedAsync(file, buffer, 1_000);
        long before = GC.GetTotalAllocatedBytes(precise: true);
        int failed = await CountFailedAsync(file, buffer, 5_000);
        double perRequest = (GC.GetTotalAllocatedBytes(precise: true) - before) / 15_000.0;
        failed.ShouldBe(0);

        // The test host allocates a little beside it; a request object or a task each would be a hundred bytes and more.
        perRequest.ShouldBeLessThan(2);
    }

    private static int CountLate(RawFile file, byte[] block, int times)
    {
        int late = 0;
        for (int i = 0; i < times; i++)
        {
            long offset = i % Blocks * BlockBytes;
            late += file.WriteAsync(offset, block) is { IsCompletedSuccessfully: true, Result: BlockStatus.Ok } ? 0 : 1;
            late += file.ReadAsync(offset, block) is { IsCompletedSuccessfully: true, Result: BlockStatus.Ok } ? 0 : 1;
        }

        return late;
    }

    private static async Task<int> CountFailedAsync(RawFile file, PooledBuffer buffer, int times)
    {
        int failed = 0;
        for (int i = 0; i < times; i++)
        {
            long offset = i % Blocks * BlockBytes;
            failed += await file.WriteAsync(offset, buffer.Memory) == BlockStatus.Ok ? 0 : 1;
            failed += await file.ReadAsync(offset, buffer.Memory) == BlockStatus.Ok ? 0 : 1;
            failed += await file.FlushAsync() == BlockStatus.Ok ? 0 : 1;
        }

        return failed;
    }
}
