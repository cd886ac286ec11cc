using Colo.Blocks;
using Colo.Testing;

namespace Colo.Linux.Tests;

/// <summary>What every disk promises, on each kind of file: page cache, tmpfs, and O_DIRECT.</summary>
public sealed class RawFileTests
{
    private const int Length = 4 << 20;

    public static TheoryData<string> Kinds => ["cached", "tmpfs", "direct"];

    [Theory, MemberData(nameof(Kinds))]
    public async Task It_reads_what_was_written_at_any_offset_and_length(string kind)
    {
        using TempDirectory directory = new(kind == "tmpfs");
        byte[] model = new byte[Length];
        await using RawFile file = Create(directory, kind);
        Random random = new(42);
        for (int step = 0; step < 200; step++)
        {
            int offset = random.Next(Length);
            byte[] bytes = new byte[random.Next(Math.Min(Length - offset, 70_000) + 1)];
            random.NextBytes(bytes);
            RequestFlags flags = step % 10 == 0 ? RequestFlags.ForceUnitAccess : RequestFlags.None;
            (await file.WriteAsync(offset, bytes, flags)).ShouldBe(BlockStatus.Ok);
            bytes.CopyTo(model, offset);
            int from = random.Next(Length);
            byte[] read = new byte[random.Next(Length - from)];
            (await file.ReadAsync(from, read)).ShouldBe(BlockStatus.Ok);
            read.AsSpan().SequenceEqual(model.AsSpan(from, read.Length)).ShouldBeTrue($"step {step}");
        }

        (await file.FlushAsync()).ShouldBe(BlockStatus.Ok);
        (await System.IO.File.ReadAllBytesAsync(file.Path)).AsSpan().SequenceEqual(model).ShouldBeTrue();
    }

    [Theory, MemberData(nameof(Kinds))]
    public async Task Zeroes_and_discards_change_their_range_and_no_byte_beside_it(string kind)
    {
        using TempDirectory directory = new(kind == "tmpfs");
        await using RawFile file = Create(directory, kind);
        byte[] model = new byte[Length];
        new Random(1).NextBytes(model);
        (await file.WriteAsync(0, model)).ShouldBe(BlockStatus.Ok);
        Random random = new(7);
        for (int step = 0; step < 60; step++)
        {
            int offset = random.Next(Length);
            int length = random.Next(Math.Min(Length - offset, 300_000) + 1);
            BlockRange range = new(offset, length);
            RequestFlags flags = (RequestFlags)(random.Next(2) * (int)RequestFlags.MayUnmap)
                | (RequestFlags)(random.Next(2) * (int)RequestFlags.ForceUnitAccess);
            BlockStatus status = step % 3 == 0 ? await file.DiscardAsync(range, flags) : await file.WriteZeroesAsync(range, flags);
            status.ShouldBe(BlockStatus.Ok);

            // Both punch holes on every file system used here, so a discard reads as zeroes as well.
            model.AsSpan(offset, length).Clear();
        }

        byte[] read = new byte[Length];
        (await file.ReadAsync(0, read)).ShouldBe(BlockStatus.Ok);
        read.AsSpan().SequenceEqual(model).ShouldBeTrue();
    }

    [Theory, MemberData(nameof(Kinds))]
    public async Task Requests_past_the_end_are_refused_as_NBD_says(string kind)
    {
        using TempDirectory directory = new(kind == "tmpfs");
        await using RawFile file = Create(directory, kind);
        (await file.WriteAsync(Length - 1, new byte[2])).ShouldBe(BlockStatus.NoSpace);
        (await file.WriteZeroesAsync(new BlockRange(Length, 1))).ShouldBe(BlockStatus.NoSpace);
        (await file.ReadAsync(Length - 1, new byte[2])).ShouldBe(BlockStatus.InvalidArgument);
        (await file.DiscardAsync(new BlockRange(0, Length + 1))).ShouldBe(BlockStatus.InvalidArgument);
        (await file.GetExtentsAsync(new BlockRange(1, Length), [])).ShouldBe(BlockStatus.InvalidArgument);
        new FileInfo(file.Path).Length.ShouldBe(Length);
    }

    [Theory, MemberData(nameof(Kinds))]
    public async Task Holes_and_data_are_told_apart_and_cover_the_range_without_gaps(string kind)
    {
        using TempDirectory directory = new(kind == "tmpfs");
        await using RawFile file = Create(directory, kind);
        (await file.WriteAsync(1 << 20, new byte[1 << 20])).ShouldBe(BlockStatus.Ok);
        List<BlockExtent> extents = [];
        (await file.GetExtentsAsync(new BlockRange(4096, Length - 8192), extents)).ShouldBe(BlockStatus.Ok);
        extents.ShouldBe(
        [
            new BlockExtent(BlockRange.FromTo(4096, 1 << 20), ExtentKind.Hole | ExtentKind.Zero),
            new BlockExtent(BlockRange.FromTo(1 << 20, 2 << 20), ExtentKind.Data),
            new BlockExtent(BlockRange.FromTo(2 << 20, Length - 4096), ExtentKind.Hole | ExtentKind.Zero),
        ]);
        extents.Clear();
        (await file.GetExtentsAsync(new BlockRange(0, Length), extents, maxExtents: 1)).ShouldBe(BlockStatus.Ok);
        extents.Count.ShouldBe(1);
    }

    [Fact]
    public async Task Zeroes_that_may_unmap_free_the_space()
    {
        using TempDirectory directory = new();
        await using RawFile file = Create(directory, "cached");
        (await file.WriteAsync(0, new byte[Length])).ShouldBe(BlockStatus.Ok);
        (await file.FlushAsync()).ShouldBe(BlockStatus.Ok);
        file.GetAllocatedBytes().ShouldBeGreaterThanOrEqualTo(Length);
        (await file.WriteZeroesAsync(new BlockRange(0, Length), RequestFlags.MayUnmap)).ShouldBe(BlockStatus.Ok);
        file.GetAllocatedBytes().ShouldBeLessThan(Length / 2);
    }

    [Fact]
    public async Task Zeroes_that_may_not_unmap_keep_the_space()
    {
        using TempDirectory directory = new();
        await using RawFile file = Create(directory, "cached");
        (await file.WriteZeroesAsync(new BlockRange(0, Length))).ShouldBe(BlockStatus.Ok);
        (await file.FlushAsync()).ShouldBe(BlockStatus.Ok);
        file.GetAllocatedBytes().ShouldBeGreaterThanOrEqualTo(Length);
    }

    [Fact]
    public async Task Fast_zeroes_where_the_file_system_cannot_answer_NotSupported_and_change_nothing()
    {
        // tmpfs punches holes but has no way to zero allocated space without writing it.
        using TempDirectory directory = new(onTmpfs: true);
        await using RawFile file = Create(directory, "tmpfs");
        byte[] bytes = [.. Enumerable.Repeat((byte)7, 8192)];
        (await file.WriteAsync(0, bytes)).ShouldBe(BlockStatus.Ok);
        (await file.WriteZeroesAsync(new BlockRange(0, 8192), RequestFlags.FastOnly)).ShouldBe(BlockStatus.NotSupported);
        byte[] read = new byte[8192];
        await file.ReadExactlyAsync(0, read);
        read.ShouldBe(bytes);
        (await file.WriteZeroesAsync(new BlockRange(0, 8192), RequestFlags.FastOnly | RequestFlags.MayUnmap)).ShouldBe(BlockStatus.Ok);
        await file.ReadExactlyAsync(0, read);
        read.AsSpan().IsAllZero().ShouldBeTrue();
    }

    [Fact]
    public async Task A_read_only_file_refuses_every_change()
    {
        using TempDirectory directory = new();
        await Create(directory, "cached").DisposeAsync();
        await using RawFile file = RawFile.Open(directory.File("disk"), new RawFileOptions { ReadOnly = true });
        file.Capabilities.IsReadOnly.ShouldBeTrue();
        (await file.WriteAsync(0, new byte[1])).ShouldBe(BlockStatus.NotPermitted);
        (await file.WriteZeroesAsync(new BlockRange(0, 1))).ShouldBe(BlockStatus.NotPermitted);
        (await file.DiscardAsync(new BlockRange(0, 1))).ShouldBe(BlockStatus.NotPermitted);
        (await file.FlushAsync()).ShouldBe(BlockStatus.Ok);
        (await file.ReadAsync(0, new byte[1])).ShouldBe(BlockStatus.Ok);
    }

    [Fact]
    public async Task A_cached_read_stays_on_the_fast_path_and_an_uncached_one_takes_the_slow_path()
    {
        using TempDirectory directory = new();
        await using RawFile file = Create(directory, "cached");
        byte[] bytes = new byte[1 << 20];
        new Random(3).NextBytes(bytes);
        await file.WriteExactlyAsync(0, bytes);
        byte[] read = new byte[bytes.Length];
        ValueTask<BlockStatus> cached = file.ReadAsync(0, read);
        cached.IsCompletedSuccessfully.ShouldBeTrue();
        (await cached).ShouldBe(BlockStatus.Ok);
        file.SlowPathRequests.ShouldBe(0);

        await file.FlushOrThrowAsync();
        (await Tool.RunAsync("dd", $"if={file.Path}", "iflag=nocache", "count=0")).EnsureSuccess();
        long before = file.SlowPathRequests;
        read.AsSpan().Clear();
        (await file.ReadAsync(0, read)).ShouldBe(BlockStatus.Ok);
        file.SlowPathRequests.ShouldBeGreaterThan(before);
        read.ShouldBe(bytes);
    }

    [Fact]
    public async Task Concurrent_sub_block_writes_of_one_block_with_O_DIRECT_all_survive()
    {
        using TempDirectory directory = new();
        await using RawFile file = Create(directory, "direct");
        byte[] expected = new byte[8192];
        new Random(5).NextBytes(expected);
        await Task.WhenAll(Enumerable.Range(0, 64).Select(i => Task.Run(async () =>
            await file.WriteExactlyAsync(i * 128, expected.AsMemory(i * 128, 128)))));
        byte[] read = new byte[8192];
        await file.ReadExactlyAsync(0, read);
        read.ShouldBe(expected);
    }

    [Fact]
    public async Task Many_concurrent_flushes_are_all_answered()
    {
        using TempDirectory directory = new();
        await using RawFile file = Create(directory, "cached");
        BlockStatus[] answers = await Task.WhenAll(Enumerable.Range(0, 200).Select(i => Task.Run(async () =>
        {
            await file.WriteExactlyAsync(i * 4096, new byte[4096]);
            return await file.FlushAsync();
        })));
        answers.ShouldAllBe(a => a == BlockStatus.Ok);

        // They share: one worker request for each group, not for each flush.
        file.SlowPathRequests.ShouldBeInRange(1, 200);
    }

    [Fact]
    public async Task A_disposed_file_answers_Shutdown()
    {
        using TempDirectory directory = new();
        RawFile file = Create(directory, "cached");
        await file.DisposeAsync();
        (await file.ReadAsync(0, new byte[1])).ShouldBe(BlockStatus.Shutdown);
        (await file.WriteAsync(0, new byte[1])).ShouldBe(BlockStatus.Shutdown);
        (await file.FlushAsync()).ShouldBe(BlockStatus.Shutdown);
        await file.DisposeAsync();
    }

    [Theory, MemberData(nameof(Kinds))]
    public async Task Disposing_under_load_answers_every_request_once(string kind)
    {
        using TempDirectory directory = new(kind == "tmpfs");
        RawFile file = Create(directory, kind);
        using PooledBuffer buffer = BufferPool.Shared.Rent(4096);
        int begun = 0;
        Task[] load = [.. Enumerable.Range(0, 16).Select(i => Task.Run(async () =>
        {
            BlockStatus status = BlockStatus.Ok;
            for (int step = 0; status == BlockStatus.Ok; step++)
            {
                Interlocked.Increment(ref begun);
                status = (step % 4) switch
                {
                    0 => await file.WriteAsync(i * 65536, buffer.Memory, RequestFlags.ForceUnitAccess),
                    1 => await file.FlushAsync(),
                    2 => await file.WriteZeroesAsync(new BlockRange(i * 1000, 5000)),
                    _ => await file.ReadAsync(i * 65536, new byte[4096]),
                };
            }

            status.ShouldBe(BlockStatus.Shutdown);
        }))];
        await Eventually.TrueAsync(() => Volatile.Read(ref begun) > 500, "load runs");
        await file.DisposeAsync();
        await Task.WhenAll(load);
    }

    [Fact]
    public async Task Growing_gives_zeroes_and_shrinking_cuts()
    {
        using TempDirectory directory = new();
        await using RawFile file = Create(directory, "cached");
        file.SetLength(Length + 10).ShouldBe(BlockStatus.Ok);
        file.LengthBytes.ShouldBe(Length + 10);
        byte[] tail = [1, 2, 3];
        await file.ReadExactlyAsync(Length, tail);
        tail.ShouldBe(new byte[3]);
        file.SetLength(100).ShouldBe(BlockStatus.Ok);
        (await file.ReadAsync(100, new byte[1])).ShouldBe(BlockStatus.InvalidArgument);
    }

    [Fact]
    public async Task A_file_cut_short_behind_our_back_is_an_IO_error_not_zeroes()
    {
        using TempDirectory directory = new();
        await using RawFile file = Create(directory, "cached");
        await using (FileStream other = new(file.Path, FileMode.Open, FileAccess.Write, FileShare.ReadWrite))
        {
            other.SetLength(4096);
        }

        (await file.ReadAsync(0, new byte[8192])).ShouldBe(BlockStatus.IoError);
    }

    private static RawFile Create(TempDirectory directory, string kind) =>
        RawFile.Create(directory.File("disk"), Length, options: new RawFileOptions { DirectIo = kind == "direct" });
}
