using Colo.Blocks;

namespace Colo.Blocks.Tests;

public sealed class RangeLockTests
{
    [Fact]
    public async Task Ranges_that_do_not_overlap_pass_each_other()
    {
        RangeLock ranges = new();
        using RangeLock.Held a = await ranges.AcquireAsync(new BlockRange(0, 10));
        ValueTask<RangeLock.Held> b = ranges.AcquireAsync(new BlockRange(10, 10));
        b.IsCompletedSuccessfully.ShouldBeTrue();
        (await b).Dispose();
    }

    [Fact]
    public async Task An_overlapping_range_waits_until_the_first_is_released()
    {
        RangeLock ranges = new();
        RangeLock.Held first = await ranges.AcquireAsync(new BlockRange(0, 10));
        Task<RangeLock.Held> second = ranges.AcquireAsync(new BlockRange(9, 10)).AsTask();
        second.IsCompleted.ShouldBeFalse();
        ranges.TryAcquire(new BlockRange(5, 1), out _).ShouldBeFalse();
        first.Dispose();
        (await second).Dispose();
        ranges.TryAcquire(new BlockRange(0, 100), out RangeLock.Held all).ShouldBeTrue();
        all.Dispose();
    }

    [Fact]
    public async Task Waiters_are_served_in_order_of_arrival_and_nobody_overtakes()
    {
        RangeLock ranges = new();
        RangeLock.Held first = await ranges.AcquireAsync(new BlockRange(0, 10));
        ValueTask<RangeLock.Held> large = ranges.AcquireAsync(new BlockRange(5, 20));

        // Free now, but the large one that waits was here before.
        ValueTask<RangeLock.Held> small = ranges.AcquireAsync(new BlockRange(20, 1));
        small.IsCompleted.ShouldBeFalse();
        first.Dispose();
        large.IsCompleted.ShouldBeTrue();
        small.IsCompleted.ShouldBeFalse();
        (await large).Dispose();
        small.IsCompleted.ShouldBeTrue();
        (await small).Dispose();
    }

    [Fact]
    public void Releasing_twice_throws()
    {
        RangeLock ranges = new();
        ranges.TryAcquire(new BlockRange(0, 10), out RangeLock.Held held).ShouldBeTrue();
        held.Dispose();
        Should.Throw<InvalidOperationException>(held.Dispose);
    }

    [Fact]
    public async Task Releasing_twice_throws_also_when_the_entry_serves_another_by_then()
    {
        RangeLock ranges = new();
        ranges.TryAcquire(new BlockRange(0, 10), out RangeLock.Held held).ShouldBeTrue();
        held.Dispose();
        using RangeLock.Held another = await ranges.AcquireAsync(new BlockRange(0, 10));
        Should.Throw<InvalidOperationException>(held.Dispose);
        ranges.TryAcquire(new BlockRange(0, 10), out _).ShouldBeFalse();
    }

    [Fact]
    public async Task A_long_chain_of_waiters_does_not_nest_on_the_stack()
    {
        RangeLock ranges = new();
        RangeLock.Held first = await ranges.AcquireAsync(new BlockRange(0, 1));
        int done = 0;
        Task[] waiters = Enumerable.Range(0, 5_000).Select(_ => WaitAndRelease()).ToArray();
        first.Dispose();
        await Task.WhenAll(waiters);
        done.ShouldBe(5_000);

        async Task WaitAndRelease()
        {
            using RangeLock.Held held = await ranges.AcquireAsync(new BlockRange(0, 1));
            done++;
        }
    }

    [Fact]
    public async Task No_two_threads_ever_hold_overlapping_ranges()
    {
        RangeLock ranges = new();
        int[] owners = new int[64];
        int clashes = 0;
        await Task.WhenAll(Enumerable.Range(1, 4).Select(t => Task.Run(async () =>
        {
            Random random = new(t);
            for (int step = 0; step < 5_000; step++)
            {
                int start = random.Next(60);
                BlockRange range = new(start, random.Next(1, 64 - start));
                using RangeLock.Held held = await ranges.AcquireAsync(range);
                for (long i = range.Offset; i < range.End; i++)
                {
                    clashes += Interlocked.Exchange(ref owners[i], t) == 0 ? 0 : 1;
                }

                if (step % 16 == 0)
                {
                    await Task.Yield();
                }

                for (long i = range.Offset; i < range.End; i++)
                {
                    clashes += Interlocked.Exchange(ref owners[i], 0) == t ? 0 : 1;
                }
            }
        })));
        clashes.ShouldBe(0);
    }

    [Fact]
    public void A_free_range_is_acquired_and_released_without_allocation()
    {
        RangeLock ranges = new();
        AcquireAndRelease(ranges, 1000);
        long before = GC.GetAllocatedBytesForCurrentThread();
        AcquireAndRelease(ranges, 10_000);
        (GC.GetAllocatedBytesForCurrentThread() - before).ShouldBe(0);

        static void AcquireAndRelease(RangeLock ranges, int times)
        {
            for (int i = 0; i < times; i++)
            {
                RangeLock.Held a = ranges.AcquireAsync(new BlockRange(0, 4096)).Result;
                RangeLock.Held b = ranges.AcquireAsync(new BlockRange(4096, 4096)).Result;
                a.Dispose();
                b.Dispose();
            }
        }
    }
}
