using Colo.Blocks;
using Colo.Qcow2;
using Colo.Testing;

namespace Colo.Conformance.Tests.Qcow2;

public sealed class WrittenByUsTests : IDisposable
{
    private const long DiskBytes = 3_000_000 / 512 * 512;
    private readonly TempDirectory directory = new(onTmpfs: true);

    public static TheoryData<int, bool, int, bool> Layouts
    {
        get
        {
            TheoryData<int, bool, int, bool> layouts = [];
            foreach (int bits in (int[])[9, 12, 16, 21])
            {
                layouts.Add(bits, false, 4, false);
            }

            foreach (int bits in (int[])[14, 16, 17, 21])
            {
                layouts.Add(bits, true, 4, false);
            }

            foreach (int order in (int[])[0, 1, 2, 3, 5, 6])
            {
                layouts.Add(12, false, order, order == 3);
            }

            return layouts;
        }
    }

    public void Dispose() => directory.Dispose();

    [Theory]
    [MemberData(nameof(Layouts))]
    public async Task Qemu_img_accepts_and_reads_every_layout(int clusterBits, bool extendedL2, int refcountOrder, bool lazy)
    {
        string path = directory.File("ours.qcow2");
        Qcow2CreateOptions options = new()
        {
            LengthBytes = DiskBytes,
            ClusterBits = clusterBits,
            ExtendedL2 = extendedL2,
            RefcountOrder = refcountOrder,
            LazyRefcounts = lazy,
        };
        byte[] expected;
        await using (Qcow2Image image = await Qcow2Image.CreateAsync(ImageFile.Create(path), options))
        {
            expected = await QemuImg.ScribbleAsync(image, seed: clusterBits + refcountOrder, operations: 60);
        }

        (await QemuImg.CheckAsync(path)).ShouldContain("No errors");
        await QemuImg.ShouldHoldAsync(path, expected);
        string info = await QemuImg.RunAsync("info", "--output=json", path);
        info.ShouldContain($"\"cluster-size\": {1 << clusterBits}");
        info.ShouldContain($"\"refcount-bits\": {1 << refcountOrder}");
        info.ShouldContain($"\"extended-l2\": {(extendedL2 ? "true" : "false")}");
        info.ShouldContain($"\"lazy-refcounts\": {(lazy ? "true" : "false")}");
    }

    [Theory]
    [InlineData(16, false)]
    [InlineData(17, true)]
    public async Task Qemu_io_writes_on_where_we_stopped_and_we_after_it(int clusterBits, bool extendedL2)
    {
        string path = directory.File("turns.qcow2");
        Qcow2CreateOptions options = new() { LengthBytes = DiskBytes, ClusterBits = clusterBits, ExtendedL2 = extendedL2 };
        byte[] expected;
        await using (Qcow2Image image = await Qcow2Image.CreateAsync(ImageFile.Create(path), options))
        {
            expected = await QemuImg.ScribbleAsync(image, seed: 1, operations: 30);
        }

        await QemuImg.IoAsync(path, "write -P 0x5a 100k 300k", "write -z 512k 64k", "write -z -u 1M 512k", "discard 2M 256k", "write -P 0x77 1200k 4k");
        expected.AsSpan(100 << 10, 300 << 10).Fill(0x5a);
        expected.AsSpan(512 << 10, 64 << 10).Clear();
        expected.AsSpan(1 << 20, 512 << 10).Clear();
        expected.AsSpan(2 << 20, 256 << 10).Clear();
        expected.AsSpan(1200 << 10, 4 << 10).Fill(0x77);

        await using (Qcow2Image image = await QemuImg.OpenAsync(path))
        {
            (await QemuImg.ReadAllAsync(image)).ShouldBe(expected);
            expected = await QemuImg.ScribbleAsync(image, seed: 2, operations: 30);
            (await image.CheckAsync()).IsClean.ShouldBeTrue();
        }

        await QemuImg.CheckAsync(path);
        await QemuImg.ShouldHoldAsync(path, expected);
    }

    [Fact]
    public async Task Qemu_img_follows_our_chain_and_its_map_agrees_with_our_extents()
    {
        string low = directory.File("low.raw");
        string path = directory.File("top.qcow2");
        byte[] below = new byte[DiskBytes];
        new Random(3).NextBytes(below);
        await File.WriteAllBytesAsync(low, below);
        byte[] expected;
        List<BlockExtent> extents = [];
        Qcow2CreateOptions options = Qcow2CreateOptions.ForBuffer(DiskBytes, new("low.raw", "raw"));
        await (await Qcow2Image.CreateAsync(ImageFile.Create(path), options)).DisposeAsync();
        await using (Qcow2Chain chain = await Qcow2Chain.OpenAsync(path))
        {
            expected = await QemuImg.ScribbleAsync(chain, seed: 4, operations: 25);
            (await QemuImg.ReadAllAsync(chain)).ShouldBe(expected);
            (await chain.Top.GetExtentsAsync(new(0, DiskBytes), extents)).ShouldBe(BlockStatus.Ok);
        }

        await QemuImg.CheckAsync(path);
        await QemuImg.ShouldHoldAsync(path, expected);
        (await QemuImg.RunAsync("info", "--backing-chain", path)).ShouldContain("backing file format: raw");
        QemuMap map = QemuMap.Parse(await QemuImg.RunAsync("map", "--output=json", path));
        foreach (BlockExtent extent in extents)
        {
            map.ShouldAgree(extent);
        }
    }

    [Fact]
    public async Task Qemu_img_converts_rebases_and_commits_what_we_wrote()
    {
        string low = directory.File("low.qcow2");
        string path = directory.File("top.qcow2");
        await using (Qcow2Image image = await Qcow2Image.CreateAsync(ImageFile.Create(low), new() { LengthBytes = DiskBytes }))
        {
            await QemuImg.ScribbleAsync(image, seed: 5, operations: 20);
        }

        Qcow2CreateOptions options = new() { LengthBytes = DiskBytes, Backing = new("low.qcow2", "qcow2") };
        await (await Qcow2Image.CreateAsync(ImageFile.Create(path), options)).DisposeAsync();
        byte[] expected;
        await using (Qcow2Chain chain = await Qcow2Chain.OpenAsync(path))
        {
            expected = await QemuImg.ScribbleAsync(chain, seed: 6, operations: 20);
        }

        await QemuImg.RunAsync("convert", "-f", "qcow2", "-O", "qcow2", path, directory.File("converted.qcow2"));
        await QemuImg.ShouldHoldAsync(directory.File("converted.qcow2"), expected);

        File.Copy(path, directory.File("rebased.qcow2"));
        await QemuImg.RunAsync("rebase", "-f", "qcow2", "-b", "", directory.File("rebased.qcow2"));
        await using (Qcow2Image rebased = await QemuImg.OpenAsync(directory.File("rebased.qcow2")))
        {
            rebased.Backing.ShouldBeNull();
            (await QemuImg.ReadAllAsync(rebased)).ShouldBe(expected);
        }

        await QemuImg.RunAsync("commit", "-f", "qcow2", path);
        await using Qcow2Image committed = await QemuImg.OpenAsync(low);
        (await QemuImg.ReadAllAsync(committed)).ShouldBe(expected);
        await QemuImg.CheckAsync(low);
        await QemuImg.CheckAsync(path);
    }

    [Fact]
    public async Task Our_commit_and_emptying_satisfy_qemu_img()
    {
        string low = directory.File("low.qcow2");
        string path = directory.File("top.qcow2");
        await using (Qcow2Image image = await Qcow2Image.CreateAsync(ImageFile.Create(low), new() { LengthBytes = DiskBytes / 2, ClusterBits = 12, ExtendedL2 = false }))
        {
            await QemuImg.ScribbleAsync(image, seed: 7, operations: 20);
        }

        Qcow2CreateOptions options = new() { LengthBytes = DiskBytes, Backing = new("low.qcow2", "qcow2") };
        await (await Qcow2Image.CreateAsync(ImageFile.Create(path), options)).DisposeAsync();
        byte[] expected;
        await using (Qcow2Chain chain = await Qcow2Chain.OpenAsync(path, writableBacking: true))
        {
            expected = await QemuImg.ScribbleAsync(chain, seed: 8, operations: 20);
            (await chain.CommitAsync()).ShouldBe(BlockStatus.Ok);
            (await QemuImg.ReadAllAsync(chain)).ShouldBe(expected);
            (await QemuImg.ReadAllAsync(chain.Top)).ShouldAllBe(b => b == 0);
        }

        await QemuImg.CheckAsync(low);
        await QemuImg.CheckAsync(path);
        await QemuImg.ShouldHoldAsync(low, expected);
        await QemuImg.ShouldHoldAsync(path, expected);
        new FileInfo(path).Length.ShouldBeLessThan(1 << 20);
    }
}
