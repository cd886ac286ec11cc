using Colo.Blocks;
using Colo.Testing;

namespace Colo.Qcow2.Tests;

public sealed class ChainTests : IDisposable
{
    private readonly TempDirectory directory = new(onTmpfs: true);

    public void Dispose() => directory.Dispose();

    [Fact]
    public async Task A_part_of_a_grain_is_written_over_a_copy_of_what_lies_below()
    {
        MemoryDisk below = new(5000);
        below.Content.Fill(9);
        await using Qcow2Chain chain = Qcow2Chain.Compose(await NewAsync(16384), below);

        (await chain.WriteAsync(4000, new byte[200])).ShouldBe(BlockStatus.Ok);

        byte[] expected = new byte[16384];
        expected.AsSpan(0, 5000).Fill(9);
        expected.AsSpan(4000, 200).Clear();
        (await History.ReadAllAsync(chain)).ShouldBe(expected);
        below.Writes.ShouldBe(0);
        byte[] top = new byte[5000];
        (await chain.Top.ReadAsync(0, top)).ShouldBe(BlockStatus.Ok);
        top.ShouldBe(expected[..5000]);
    }

    [Fact]
    public async Task A_discard_never_lets_the_old_content_below_show_through()
    {
        MemoryDisk below = new(16384);
        below.Content.Fill(9);
        await using Qcow2Chain chain = Qcow2Chain.Compose(await NewAsync(16384), below);
        byte[] ones = new byte[8192];
        Array.Fill(ones, (byte)1);
        (await chain.WriteAsync(0, ones)).ShouldBe(BlockStatus.Ok);

        (await chain.DiscardAsync(new(0, 4096))).ShouldBe(BlockStatus.Ok);

        byte[] all = await History.ReadAllAsync(chain);
        all[..4096].ShouldAllBe(b => b == 0);
        all[4096..8192].ShouldAllBe(b => b == 1);
        all[8192..].ShouldAllBe(b => b == 9);
    }

    [Fact]
    public async Task A_failing_read_below_fails_the_write_and_maps_nothing()
    {
        MemoryDisk below = new(16384) { Fault = (op, _) => op == "read" ? BlockStatus.IoError : BlockStatus.Ok };
        await using Qcow2Chain chain = Qcow2Chain.Compose(await NewAsync(16384), below);

        (await chain.WriteAsync(100, new byte[10])).ShouldBe(BlockStatus.IoError);

        List<BlockExtent> extents = [];
        await chain.Top.GetExtentsAsync(new(0, 16384), extents);
        extents.ShouldHaveSingleItem().Kind.ShouldBe(ExtentKind.Hole | ExtentKind.Zero);
    }

    [Fact]
    public async Task A_commit_that_does_not_fit_below_answers_ENOSPC_and_changes_nothing()
    {
        MemoryDisk below = new(4096);
        await using Qcow2Chain chain = Qcow2Chain.Compose(await NewAsync(16384), below);
        (await chain.WriteAsync(0, new byte[] { 1 })).ShouldBe(BlockStatus.Ok);
        (await chain.WriteAsync(8192, new byte[] { 2 })).ShouldBe(BlockStatus.Ok);

        (await chain.CommitAsync()).ShouldBe(BlockStatus.NoSpace);

        below.Writes.ShouldBe(0);
        (await History.ReadAllAsync(chain))[8192].ShouldBe((byte)2);
    }

    [Fact]
    public async Task A_commit_that_fails_below_keeps_the_layer()
    {
        MemoryDisk below = new(16384) { Fault = (op, _) => op == "flush" ? BlockStatus.IoError : BlockStatus.Ok };
        await using Qcow2Chain chain = Qcow2Chain.Compose(await NewAsync(16384), below);
        (await chain.WriteAsync(0, new byte[] { 1 })).ShouldBe(BlockStatus.Ok);

        (await chain.CommitAsync()).ShouldBe(BlockStatus.IoError);

        byte[] top = new byte[1];
        (await chain.Top.ReadAsync(0, top)).ShouldBe(BlockStatus.Ok);
        top[0].ShouldBe((byte)1);
    }

    [Fact]
    public async Task A_loop_of_backing_files_is_refused()
    {
        await FileAsync("a", new("b", "qcow2"));
        await FileAsync("b", new("a", "qcow2"));

        await ShouldRefuseAsync("a", "loops");
    }

    [Fact]
    public async Task A_chain_deeper_than_the_limit_is_refused()
    {
        for (int i = 0; i < 70; i++)
        {
            await FileAsync($"{i}", new($"{i + 1}", "qcow2"));
        }

        await ShouldRefuseAsync("0", "deeper than 64");
    }

    [Theory]
    [InlineData("missing", "qcow2", "cannot be opened")]
    [InlineData("any", "vmdk", "raw and qcow2 are served")]
    [InlineData("nbd://host/export", "raw", "not a plain file name")]
    [InlineData("json:{}", "raw", "not a plain file name")]
    public async Task A_backing_file_that_cannot_be_is_refused_by_name(string backing, string format, string says)
    {
        await FileAsync("a", new(backing, format));

        await ShouldRefuseAsync("a", says);
    }

    [Fact]
    public async Task A_backing_file_without_a_format_is_refused_or_raw_and_never_probed()
    {
        await FileAsync("low", backing: null);
        await FileAsync("a", new("low", null));

        await ShouldRefuseAsync("a", "named without its format");
        await using Qcow2Chain chain = await Qcow2Chain.OpenAsync(directory.File("a"), new() { UnnamedBackingFormatIsRaw = true });

        // The bytes of the image file itself, not of the disk inside.
        byte[] magic = new byte[4];
        (await chain.ReadAsync(0, magic)).ShouldBe(BlockStatus.Ok);
        magic.ShouldBe("QFI\u00fb".Select(c => (byte)c));
    }

    private static ValueTask<Qcow2Image> NewAsync(long length) => Qcow2Image.CreateAsync(new MemoryImageFile(), Qcow2CreateOptions.ForBuffer(length));

    private async Task FileAsync(string name, Qcow2Backing? backing)
    {
        Qcow2CreateOptions options = new() { LengthBytes = 65536, Backing = backing };
        await (await Qcow2Image.CreateAsync(ImageFile.Create(directory.File(name)), options)).DisposeAsync();
    }

    private async Task ShouldRefuseAsync(string name, string says)
    {
        Qcow2Exception refused = await Should.ThrowAsync<Qcow2Exception>(async () => await Qcow2Chain.OpenAsync(directory.File(name)));
        refused.Fault.ShouldBe(Qcow2Fault.BackingChain);
        refused.Message.ShouldContain(says);
    }
}
