using Colo.Blocks;
using Colo.Testing;

namespace Colo.Qcow2.Tests;

public class RequestTests
{
    private static ValueTask<Qcow2Image> NewAsync(MemoryImageFile file, long length = 1 << 20) =>
        Qcow2Image.CreateAsync(file, Qcow2CreateOptions.ForBuffer(length));

    [Fact]
    public async Task Ranges_past_the_end_are_refused_as_NBD_wants_it()
    {
        await using Qcow2Image image = await NewAsync(new());

        (await image.WriteAsync((1 << 20) - 1, new byte[2])).ShouldBe(BlockStatus.NoSpace);
        (await image.WriteZeroesAsync(new(1 << 20, 1))).ShouldBe(BlockStatus.NoSpace);
        (await image.ReadAsync(1 << 20, new byte[1])).ShouldBe(BlockStatus.InvalidArgument);
        (await image.DiscardAsync(new(0, (1 << 20) + 1))).ShouldBe(BlockStatus.InvalidArgument);
        (await image.GetExtentsAsync(new(0, long.MaxValue), [])).ShouldBe(BlockStatus.InvalidArgument);
        (await image.ReadAsync(-1, new byte[1])).ShouldBe(BlockStatus.InvalidArgument);
    }

    [Fact]
    public async Task A_read_only_image_refuses_every_change_and_writes_nothing()
    {
        MemoryImageFile file = new();
        await (await NewAsync(file)).DisposeAsync();
        file.Changes.Clear();

        await using (Qcow2Image image = await Qcow2Image.OpenAsync(file, new() { ReadOnly = true }))
        {
            image.Capabilities.IsReadOnly.ShouldBeTrue();
            (await image.WriteAsync(0, new byte[1])).ShouldBe(BlockStatus.NotPermitted);
            (await image.WriteZeroesAsync(new(0, 1))).ShouldBe(BlockStatus.NotPermitted);
            (await image.DiscardAsync(new(0, 1))).ShouldBe(BlockStatus.NotPermitted);
            (await image.MakeEmptyAsync()).ShouldBe(BlockStatus.NotPermitted);
            (await image.ResizeAsync(2 << 20)).ShouldBe(BlockStatus.NotPermitted);
            (await image.FlushAsync()).ShouldBe(BlockStatus.Ok);
        }

        file.Changes.ShouldBeEmpty();
    }

    [Fact]
    public async Task A_disposed_image_answers_ESHUTDOWN()
    {
        Qcow2Image image = await NewAsync(new());
        await image.DisposeAsync();

        (await image.ReadAsync(0, new byte[1])).ShouldBe(BlockStatus.Shutdown);
        (await image.WriteAsync(0, new byte[1])).ShouldBe(BlockStatus.Shutdown);
        (await image.FlushAsync()).ShouldBe(BlockStatus.Shutdown);
    }

    [Fact]
    public async Task Extents_tell_data_zero_and_hole_apart_by_the_grain()
    {
        await using Qcow2Image image = await NewAsync(new());
        await image.WriteAsync(4096, new byte[4096]);
        await image.WriteZeroesAsync(new(8192, 4096));
        List<BlockExtent> extents = [];

        (await image.GetExtentsAsync(new(0, 1 << 20), extents)).ShouldBe(BlockStatus.Ok);

        ExtentKind hole = ExtentKind.Hole | ExtentKind.Zero;
        extents.ShouldBe(
        [
            new(new(0, 4096), hole),
            new(new(4096, 4096), ExtentKind.Data),
            new(new(8192, 4096), ExtentKind.Zero),
            BlockExtents(12288, 1 << 20, hole),
        ]);
        extents.Clear();
        (await image.GetExtentsAsync(new(0, 1 << 20), extents, maxExtents: 2)).ShouldBe(BlockStatus.Ok);
        extents.Count.ShouldBe(2);
    }

    [Fact]
    public async Task A_full_medium_answers_ENOSPC_and_the_image_goes_on_afterwards()
    {
        MemoryImageFile file = new() { Records = false };
        Qcow2Image image = await NewAsync(file);
        await image.WriteAsync(0, new byte[4096]);
        file.Fault = (op, _) => op == "write" ? BlockStatus.NoSpace : BlockStatus.Ok;

        (await image.WriteAsync(512 << 10, new byte[4096])).ShouldBe(BlockStatus.NoSpace);
        file.Fault = null;
        byte[] data = new byte[4096];
        Array.Fill(data, (byte)7);
        (await image.WriteAsync(512 << 10, data)).ShouldBe(BlockStatus.Ok);

        (await History.ReadAllAsync(image))[(512 << 10)..((512 << 10) + 4096)].ShouldBe(data);
        (await image.CheckAsync()).IsClean.ShouldBeTrue();
    }

    [Fact]
    public async Task An_error_at_any_write_to_the_medium_is_answered_and_leaves_a_whole_image()
    {
        for (int failing = 0; failing < 40; failing++)
        {
            MemoryImageFile file = new() { Records = false };
            Qcow2Image image = await Qcow2Image.CreateAsync(file, KillPointTests.OptionsFor(1));
            byte[] expected = new byte[image.LengthBytes];
            int countdown = failing;
            file.Fault = (op, _) => op == "write" && countdown-- == 0 ? BlockStatus.IoError : BlockStatus.Ok;
            for (int i = 0; i < 12; i++)
            {
                byte[] data = new byte[3000];
                Array.Fill(data, (byte)(i + 1));
                if (await image.WriteAsync(i * 8000, data) == BlockStatus.Ok)
                {
                    data.CopyTo(expected, i * 8000);
                }
                else
                {
                    (await image.WriteAsync(i * 8000, data)).ShouldBe(BlockStatus.Ok);
                    data.CopyTo(expected, i * 8000);
                }
            }

            (await History.ReadAllAsync(image)).ShouldBe(expected);
            await using Qcow2Image again = await Qcow2Image.OpenAsync(new MemoryImageFile(file.Snapshot()));
            (await again.CheckAsync()).Corruptions.ShouldBe(0);
            (await History.ReadAllAsync(again)).ShouldBe(expected);
        }
    }

    [Fact]
    public async Task FUA_flushes_and_a_plain_write_of_a_buffer_does_not()
    {
        MemoryImageFile file = new();
        await using Qcow2Image image = await NewAsync(file);
        await image.WriteAsync(0, new byte[4096]);
        file.Flushes.ShouldBe(0);

        (await image.WriteAsync(0, new byte[4096], RequestFlags.ForceUnitAccess)).ShouldBe(BlockStatus.Ok);

        file.Flushes.ShouldBe(1);
    }

    [Fact]
    public async Task A_failed_flush_is_answered()
    {
        MemoryImageFile file = new() { Fault = (op, _) => op == "flush" ? BlockStatus.IoError : BlockStatus.Ok };
        await using Qcow2Image image = await NewAsync(file);

        (await image.FlushAsync()).ShouldBe(BlockStatus.IoError);
    }

    [Theory]
    [InlineData(8, false)]
    [InlineData(22, false)]
    [InlineData(13, true)]
    public async Task Impossible_cluster_sizes_are_refused_with_the_allowed_range(int bits, bool extended)
    {
        Qcow2CreateOptions options = new() { LengthBytes = 1, ClusterBits = bits, ExtendedL2 = extended };

        ArgumentException refused = await Should.ThrowAsync<ArgumentException>(async () => await Qcow2Image.CreateAsync(new MemoryImageFile(), options));

        refused.Message.ShouldContain("to 21 are allowed");
    }

    [Fact]
    public async Task Unknown_header_extensions_and_autoclear_bits_are_kept_until_the_first_write_and_the_extension_after_it()
    {
        MemoryImageFile source = new() { Records = false };
        await (await NewAsync(source)).DisposeAsync();
        byte[] bytes = source.Snapshot();
        byte[] extension = [0x12, 0x34, 0x56, 0x78, 0, 0, 0, 4, 1, 2, 3, 4, 0, 0, 0, 0];
        extension.CopyTo(bytes, 112);
        bytes[95] = 0x80;
        MemoryImageFile file = new(bytes);

        await using Qcow2Image image = await Qcow2Image.OpenAsync(file);
        await image.ReadAsync(0, new byte[1]);
        file.Snapshot()[95].ShouldBe((byte)0x80);
        (await image.WriteAsync(0, new byte[1])).ShouldBe(BlockStatus.Ok);

        file.Snapshot()[95].ShouldBe((byte)0);
        file.Snapshot()[112..128].ShouldBe(extension);
    }

    private static BlockExtent BlockExtents(long from, long to, ExtentKind kind) => new(BlockRange.FromTo(from, to), kind);
}
