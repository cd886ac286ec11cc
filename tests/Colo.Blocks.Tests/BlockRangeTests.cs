using Colo.Blocks;
using Colo.Testing;

namespace Colo.Blocks.Tests;

public sealed class BlockRangeTests
{
    [Fact]
    public void A_range_that_would_wrap_cannot_be_made()
    {
        Should.Throw<ArgumentOutOfRangeException>(() => new BlockRange(1, long.MaxValue));
        Should.Throw<ArgumentOutOfRangeException>(() => new BlockRange(-1, 1));
        Should.Throw<ArgumentOutOfRangeException>(() => new BlockRange(0, -1));
    }

    [Fact]
    public void Expanding_covers_whole_grains_and_stops_at_the_end()
    {
        new BlockRange(5, 10).ExpandTo(8, 100).ShouldBe(new BlockRange(0, 16));
        new BlockRange(90, 5).ExpandTo(64, 100).ShouldBe(new BlockRange(64, 36));
    }

    [Fact]
    public void Requests_past_the_end_are_refused_as_NBD_says()
    {
        MemoryDisk disk = new(100);
        disk.CheckRead(90, 11).ShouldBe(BlockStatus.InvalidArgument);
        disk.CheckWrite(90, 11).ShouldBe(BlockStatus.NoSpace);
        disk.CheckDiscard(90, 11).ShouldBe(BlockStatus.InvalidArgument);
        disk.CheckWrite(long.MaxValue, 11).ShouldBe(BlockStatus.NoSpace);
        disk.CheckRead(-1, 1).ShouldBe(BlockStatus.InvalidArgument);
        disk.CheckRead(100, 0).ShouldBe(BlockStatus.Ok);
    }

    [Fact]
    public void Unaligned_and_read_only_requests_are_refused()
    {
        MemoryDisk disk = new(4096) { Capabilities = new DeviceCapabilities(MinimumBlockBytes: 512) };
        disk.CheckRead(1, 512).ShouldBe(BlockStatus.InvalidArgument);
        disk.CheckWrite(512, 511).ShouldBe(BlockStatus.InvalidArgument);
        MemoryDisk readOnly = new(4096) { Capabilities = new DeviceCapabilities(IsReadOnly: true) };
        readOnly.CheckWrite(0, 1).ShouldBe(BlockStatus.NotPermitted);
        readOnly.CheckDiscard(0, 1).ShouldBe(BlockStatus.NotPermitted);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(63)]
    [InlineData(4096)]
    public void One_byte_that_is_not_zero_is_found_wherever_it_is(int length)
    {
        byte[] bytes = new byte[length];
        bytes.AsSpan().IsAllZero().ShouldBeTrue();
        for (int i = 0; i < length; i++)
        {
            bytes[i] = 1;
            bytes.AsSpan().IsAllZero().ShouldBeFalse();
            bytes[i] = 0;
        }
    }

    [Fact]
    public async Task A_failed_set_up_read_throws_with_status_and_range()
    {
        MemoryDisk disk = new(100) { Fault = (_, _) => BlockStatus.IoError };
        BlockIoException e = await Should.ThrowAsync<BlockIoException>(() => disk.ReadExactlyAsync(10, new byte[5]));
        e.Status.ShouldBe(BlockStatus.IoError);
        e.Range.ShouldBe(new BlockRange(10, 5));
    }
}
