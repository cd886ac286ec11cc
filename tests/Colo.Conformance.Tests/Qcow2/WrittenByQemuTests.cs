using Colo.Blocks;
using Colo.Qcow2;
using Colo.Testing;

namespace Colo.Conformance.Tests.Qcow2;

public sealed class WrittenByQemuTests : IDisposable
{
    private readonly TempDirectory directory = new(onTmpfs: true);

    public void Dispose() => directory.Dispose();

    [Theory]
    [InlineData("cluster_size=512")]
    [InlineData("cluster_size=4k,refcount_bits=1")]
    [InlineData("cluster_size=64k")]
    [InlineData("cluster_size=2M,refcount_bits=64")]
    [InlineData("cluster_size=16k,extended_l2=on")]
    [InlineData("cluster_size=128k,extended_l2=on,refcount_bits=8")]
    [InlineData("cluster_size=2M,extended_l2=on,preallocation=metadata")]
    [InlineData("cluster_size=64k,preallocation=metadata")]
    [InlineData("cluster_size=64k,preallocation=falloc")]
    [InlineData("cluster_size=64k,preallocation=full")]
    [InlineData("cluster_size=64k,lazy_refcounts=on")]
    [InlineData("cluster_size=64k,compression_type=zstd")]
    [InlineData("compat=0.10,cluster_size=64k")]
    [InlineData("compat=0.10,cluster_size=4k")]
    public async Task We_read_and_write_what_qemu_img_made(string options)
    {
        string path = directory.File("theirs.qcow2");
        await QemuImg.RunAsync("create", "-q", "-f", "qcow2", "-o", options, path, "3000000");
        await QemuImg.IoAsync(path, "write -P 0x11 0 70k", "write -P 0x22 500k 1M", "write -z 600k 128k", "write -P 0x33 2900k 8k", "discard 100k 4k");
        byte[] expected = await QemuImg.ReadAsync(path);

        await using (Qcow2Image image = await QemuImg.OpenAsync(path))
        {
            image.LengthBytes.ShouldBe(expected.Length);
            (await QemuImg.ReadAllAsync(image)).ShouldBe(expected);
            expected = await QemuImg.ScribbleAsync(image, seed: options.Length, operations: 40);
            (await image.CheckAsync()).IsClean.ShouldBeTrue();
        }

        (await QemuImg.CheckAsync(path)).ShouldContain("No errors");
        await QemuImg.ShouldHoldAsync(path, expected);
    }

    [Theory]
    [InlineData("cluster_size=64k")]
    [InlineData("cluster_size=16k,extended_l2=on")]
    [InlineData("compat=0.10,cluster_size=4k")]
    public async Task Writing_beside_a_snapshot_leaves_the_snapshot_alone(string options)
    {
        string path = directory.File("snapshots.qcow2");
        await QemuImg.RunAsync("create", "-q", "-f", "qcow2", "-o", options, path, "2M");
        await QemuImg.IoAsync(path, "write -P 0x41 0 700k", "write -P 0x42 1M 300k");
        byte[] kept = await QemuImg.ReadAsync(path);
        await QemuImg.RunAsync("snapshot", "-c", "one", path);
        await QemuImg.IoAsync(path, "write -P 0x43 200k 100k");
        await QemuImg.RunAsync("snapshot", "-c", "two", path);

        byte[] expected;
        await using (Qcow2Image image = await QemuImg.OpenAsync(path))
        {
            expected = await QemuImg.ScribbleAsync(image, seed: 9, operations: 40);
            (await image.DiscardAsync(new(0, 512 << 10))).ShouldBe(BlockStatus.Ok);
            expected.AsSpan(0, 512 << 10).Clear();
            (await QemuImg.ReadAllAsync(image)).ShouldBe(expected);
            (await image.CheckAsync()).IsClean.ShouldBeTrue();
        }

        (await QemuImg.CheckAsync(path)).ShouldContain("No errors");
        await QemuImg.ShouldHoldAsync(path, expected);
        await using (Qcow2Image image = await QemuImg.OpenAsync(path))
        {
            (await image.MakeEmptyAsync()).ShouldBe(BlockStatus.Ok);
            (await QemuImg.ReadAllAsync(image)).ShouldAllBe(b => b == 0);
        }

        (await QemuImg.CheckAsync(path)).ShouldContain("No errors");
        await QemuImg.RunAsync("snapshot", "-a", "one", path);
        await QemuImg.ShouldHoldAsync(path, kept);
    }

    [Fact]
    public async Task We_read_a_chain_of_four_that_qemu_img_made_with_shorter_backing_files()
    {
        await QemuImg.RunAsync("create", "-q", "-f", "raw", directory.File("0.raw"), "1M");
        (await Tool.RunAsync("qemu-io", "-f", "raw", "-c", "write -P 0x10 0 1M", directory.File("0.raw"))).EnsureSuccess();
        await ChildAsync("1.qcow2", "0.raw", "raw", "2M", "cluster_size=64k", "write -P 0x21 900k 500k");
        await ChildAsync("2.qcow2", "1.qcow2", "qcow2", "3M", "cluster_size=16k,extended_l2=on", "write -P 0x32 1300k 1M", "write -z 100k 50k");
        await ChildAsync("3.qcow2", "2.qcow2", "qcow2", "4M", "cluster_size=4k", "write -P 0x43 2M 10k", "discard 0 64k");
        byte[] expected = await QemuImg.ReadAsync(directory.File("3.qcow2"));

        await using (Qcow2Chain chain = await Qcow2Chain.OpenAsync(directory.File("3.qcow2")))
        {
            (await QemuImg.ReadAllAsync(chain)).ShouldBe(expected);
            expected = await QemuImg.ScribbleAsync(chain, seed: 10, operations: 40);
            (await QemuImg.ReadAllAsync(chain)).ShouldBe(expected);
        }

        await QemuImg.CheckAsync(directory.File("3.qcow2"));
        await QemuImg.ShouldHoldAsync(directory.File("3.qcow2"), expected);
    }

    [Fact]
    public async Task Writing_declares_persistent_bitmaps_stale_and_reading_does_not()
    {
        string path = directory.File("bitmaps.qcow2");
        await QemuImg.RunAsync("create", "-q", "-f", "qcow2", path, "2M");
        await QemuImg.RunAsync("bitmap", "--add", path, "tracking");
        await QemuImg.IoAsync(path, "write -P 1 0 64k");

        await using (Qcow2Image image = await QemuImg.OpenAsync(path))
        {
            (await QemuImg.ReadAllAsync(image))[0].ShouldBe((byte)1);
            (await image.CheckAsync()).IsClean.ShouldBeTrue();
        }

        (await QemuImg.RunAsync("info", path)).ShouldContain("tracking");
        await using (Qcow2Image image = await QemuImg.OpenAsync(path))
        {
            (await image.WriteAsync(0, new byte[512])).ShouldBe(BlockStatus.Ok);
        }

        (await QemuImg.RunAsync("info", path)).ShouldNotContain("tracking");
    }

    [Fact]
    public async Task An_image_left_dirty_by_lazy_refcounts_is_repaired_before_it_is_written()
    {
        string path = directory.File("dirty.qcow2");
        await QemuImg.RunAsync("create", "-q", "-f", "qcow2", "-o", "lazy_refcounts=on,cluster_size=4k", path, "8M");
        ToolResult aborted = await Tool.RunAsync("qemu-io", "-f", "qcow2", "-c", "write -P 0x66 0 3M", "-c", "flush", "-c", "abort", path);
        aborted.ExitCode.ShouldNotBe(0);
        (await Tool.RunAsync("qemu-img", "check", "-f", "qcow2", path)).ExitCode.ShouldBe(2);

        await using (Qcow2Image image = await QemuImg.OpenAsync(path))
        {
            byte[] data = new byte[3 << 20];
            (await image.ReadAsync(0, data)).ShouldBe(BlockStatus.Ok);
            data.ShouldAllBe(b => b == 0x66);
            (await image.WriteAsync(4 << 20, data)).ShouldBe(BlockStatus.Ok);
        }

        (await QemuImg.CheckAsync(path)).ShouldContain("No errors");
    }

    [Fact]
    public async Task Compressed_images_are_refused_by_name()
    {
        await File.WriteAllBytesAsync(directory.File("plain.raw"), new byte[1 << 20].Select((_, i) => (byte)(i / 4096)).ToArray());
        await QemuImg.RunAsync("convert", "-c", "-f", "raw", "-O", "qcow2", directory.File("plain.raw"), directory.File("compressed.qcow2"));

        Qcow2Exception refused = await Should.ThrowAsync<Qcow2Exception>(async () => await QemuImg.OpenAsync(directory.File("compressed.qcow2")));

        refused.Fault.ShouldBe(Qcow2Fault.Compressed);
        refused.Message.ShouldContain("compressed");
    }

    [Theory]
    [InlineData("encrypt.format=luks,encrypt.key-secret=s")]
    [InlineData("encrypt.format=aes,encrypt.key-secret=s")]
    public async Task Encrypted_images_are_refused_by_name(string options)
    {
        string path = directory.File("encrypted.qcow2");
        await QemuImg.RunAsync("create", "-q", "--object", "secret,id=s,data=geheim", "-f", "qcow2", "-o", options, path, "1M");

        Qcow2Exception refused = await Should.ThrowAsync<Qcow2Exception>(async () => await QemuImg.OpenAsync(path));

        refused.Fault.ShouldBe(Qcow2Fault.Encrypted);
    }

    [Fact]
    public async Task Images_with_their_data_elsewhere_are_refused_by_name()
    {
        string path = directory.File("external.qcow2");
        await QemuImg.RunAsync("create", "-q", "-f", "qcow2", "-o", $"data_file={directory.File("data.raw")}", path, "1M");

        (await Should.ThrowAsync<Qcow2Exception>(async () => await QemuImg.OpenAsync(path))).Fault.ShouldBe(Qcow2Fault.ExternalDataFile);
    }

    private async Task ChildAsync(string name, string backing, string format, string size, string options, params string[] commands)
    {
        await QemuImg.RunAsync("create", "-q", "-f", "qcow2", "-b", backing, "-F", format, "-o", options, directory.File(name), size);
        await QemuImg.IoAsync(directory.File(name), commands);
    }
}
