using System.Runtime.InteropServices;
using Colo.Blocks;

namespace Colo.Blocks.Tests;

public sealed class BufferPoolTests
{
    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(4096)]
    [InlineData(4097)]
    [InlineData(1 << 20)]
    [InlineData((32 << 20) + 5)]
    [InlineData(BufferPool.MaxBufferBytes)]
    public void A_buffer_has_exactly_the_length_asked_for_and_is_aligned_and_pinned(int length)
    {
        BufferPool pool = new(256 << 20);
        using PooledBuffer buffer = pool.Rent(length);
        buffer.Memory.Length.ShouldBe(length);
        if (length > 0)
        {
            AddressOf(buffer).ShouldBe(AddressOf(buffer) & ~4095L);
            long before = AddressOf(buffer);
            GC.Collect(2, GCCollectionMode.Forced, blocking: true, compacting: true);
            AddressOf(buffer).ShouldBe(before);
        }
    }

    [Fact]
    public void A_buffer_given_back_is_lent_again_without_allocation()
    {
        BufferPool pool = new(1 << 20);
        pool.Rent(8192).Dispose();
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < 1000; i++)
        {
            pool.Rent(5000 + i).Dispose();
        }

        (GC.GetAllocatedBytesForCurrentThread() - before).ShouldBe(0);
    }

    [Fact]
    public void The_limit_holds_for_lent_and_idle_together()
    {
        BufferPool pool = new(64 << 10);
        List<PooledBuffer> lent = [];
        while (pool.TryRent(4096) is { } buffer)
        {
            lent.Add(buffer);
        }

        lent.Count.ShouldBe(8);
        Should.Throw<BufferPoolExhaustedException>(() => pool.Rent(1));
        lent.ForEach(b => b.Dispose());
        pool.LentBytes.ShouldBe(0);

        // Idle small buffers make room for a large one.
        using PooledBuffer large = pool.Rent(32 << 10);
        pool.HeldBytes.ShouldBeLessThanOrEqualTo(pool.LimitBytes);
    }

    [Fact]
    public async Task Who_waits_is_served_in_order_when_buffers_come_back()
    {
        BufferPool pool = new(16 << 10);
        PooledBuffer first = pool.Rent(4096);
        PooledBuffer second = pool.Rent(4096);
        Task<PooledBuffer> large = pool.RentAsync(8192).AsTask();
        Task<PooledBuffer> small = pool.RentAsync(4096).AsTask();
        first.Dispose();
        large.IsCompleted.ShouldBeFalse();
        small.IsCompleted.ShouldBeFalse("the small one must not overtake");
        second.Dispose();
        PooledBuffer served = await large;
        small.IsCompleted.ShouldBeFalse();
        served.Dispose();
        (await small).Dispose();
        pool.LentBytes.ShouldBe(0);
    }

    [Fact]
    public async Task A_cancelled_wait_does_not_take_a_buffer()
    {
        BufferPool pool = new(8 << 10);
        PooledBuffer only = pool.Rent(4096);
        using CancellationTokenSource cancel = new();
        Task<PooledBuffer> cancelled = pool.RentAsync(4096, cancel.Token).AsTask();
        Task<PooledBuffer> patient = pool.RentAsync(4096).AsTask();
        await cancel.CancelAsync();
        await Should.ThrowAsync<OperationCanceledException>(() => cancelled);
        only.Dispose();
        (await patient).Dispose();
        pool.LentBytes.ShouldBe(0);
    }

    [Fact]
    public void Asking_for_what_never_fits_fails_at_once()
    {
        BufferPool pool = new(64 << 10);
        Should.Throw<BufferPoolExhaustedException>(() => pool.RentAsync(64 << 10).AsTask());
    }

    [Fact]
    public void Giving_back_twice_throws_and_the_memory_is_out_of_reach()
    {
        BufferPool pool = new(64 << 10);
        PooledBuffer buffer = pool.Rent(100);
        buffer.Dispose();
        Should.Throw<InvalidOperationException>(buffer.Dispose);
        Should.Throw<ObjectDisposedException>(() => buffer.Memory.Length);
    }

    private static long AddressOf(PooledBuffer buffer)
    {
        MemoryMarshal.TryGetArray((ReadOnlyMemory<byte>)buffer.Memory, out ArraySegment<byte> segment).ShouldBeTrue();
        return Marshal.UnsafeAddrOfPinnedArrayElement(segment.Array!, segment.Offset);
    }
}
