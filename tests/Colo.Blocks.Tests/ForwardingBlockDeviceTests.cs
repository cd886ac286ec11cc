using Colo.Testing;

namespace Colo.Blocks.Tests;

public class ForwardingBlockDeviceTests
{
    [Fact]
    public async Task Each_request_reaches_the_other_device_and_its_answer_comes_back()
    {
        MemoryDisk disk = new(1 << 20);
        await using Forwarder device = new(disk);
        device.LengthBytes.ShouldBe(disk.LengthBytes);
        device.Capabilities.ShouldBe(disk.Capabilities);
        byte[] block = new byte[4096];
        block.AsSpan().Fill(7);
        (await device.WriteAsync(4096, block)).ShouldBe(BlockStatus.Ok);
        byte[] read = new byte[4096];
        (await disk.ReadAsync(4096, read)).ShouldBe(BlockStatus.Ok);
        read.ShouldBe(block);

        (await device.WriteZeroesAsync(new BlockRange(4096, 4096))).ShouldBe(BlockStatus.Ok);
        (await device.ReadAsync(4096, read)).ShouldBe(BlockStatus.Ok);
        read.ShouldAllBe(b => b == 0);
        (await device.DiscardAsync(new BlockRange(0, 4096))).ShouldBe(BlockStatus.Ok);
        (await device.FlushAsync()).ShouldBe(BlockStatus.Ok);
        List<BlockExtent> extents = [];
        (await device.GetExtentsAsync(new BlockRange(0, 1 << 20), extents)).ShouldBe(BlockStatus.Ok);
        extents.ShouldNotBeEmpty();

        // Refusals are the other device's own.
        (await device.WriteAsync(1 << 20, block)).ShouldBe(BlockStatus.NoSpace);
    }

    private sealed class Forwarder(IBlockDevice inner) : ForwardingBlockDevice(inner);
}
