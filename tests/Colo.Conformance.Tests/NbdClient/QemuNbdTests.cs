using Colo.Blocks;
using Colo.Nbd.Client;
using Colo.Nbd.Wire;
using Colo.Testing;

namespace Colo.Conformance.Tests.RealServers;

/// <summary>Our client against qemu-nbd.</summary>
public class QemuNbdTests
{
    private const int Size = 8 << 20;

    [Theory]
    [InlineData("--cache=writeback")]
    [InlineData("--cache=none", "--aio=native")]
    [InlineData("--discard=unmap", "--detect-zeroes=unmap")]
    public async Task Random_work_on_a_raw_file_leaves_the_right_bytes(params string[] arguments)
    {
        using TempDirectory directory = new(onTmpfs: true);
        string file = await MakeRawAsync(directory);
        RandomWork work = new(seed: Environment.TickCount, Size, alignmentBytes: arguments[0] == "--cache=none" ? 4096 : 1);
        await using (RealServer server = await RealServer.QemuNbdAsync([.. arguments, "-f", "raw", file]))
        await using (NbdClientDevice client = await server.ConnectAsync())
        {
            client.Export.StructuredReplies.ShouldBeTrue();
            client.Export.BaseAllocationId.ShouldNotBeNull();
            await work.RunAsync(client, rounds: 60);
            await work.VerifyAsync(client);
            (await client.FlushAsync()).ShouldBe(BlockStatus.Ok);
        }

        (await File.ReadAllBytesAsync(file)).AsSpan().CommonPrefixLength(work.Expected).ShouldBe(Size);
    }

    [Fact]
    public async Task Random_work_on_a_qcow2_image_leaves_a_clean_image_with_the_right_bytes()
    {
        using TempDirectory directory = new(onTmpfs: true);
        string image = directory.File("disk.qcow2");
        string raw = directory.File("expected.raw");
        (await Tool.RunAsync("qemu-img", "create", "-f", "qcow2", image, "8M")).EnsureSuccess();
        RandomWork work = new(seed: Environment.TickCount, Size);
        await using (RealServer server = await RealServer.QemuNbdAsync("-f", "qcow2", image))
        {
            await using (NbdClientDevice client = await server.ConnectAsync())
            {
                await work.RunAsync(client, rounds: 60);
            }

            await server.StopAsync();
        }

        await File.WriteAllBytesAsync(raw, work.Expected);
        (await Tool.RunAsync("qemu-img", "check", image)).EnsureSuccess();
        (await Tool.RunAsync("qemu-img", "compare", "-f", "qcow2", "-F", "raw", image, raw)).EnsureSuccess();
    }

    [Fact]
    public async Task Holes_zeroes_and_data_are_told_apart()
    {
        using TempDirectory directory = new(onTmpfs: true);
        string file = await MakeRawAsync(directory);
        await using RealServer server = await RealServer.QemuNbdAsync("--discard=unmap", "-f", "raw", file);
        await using NbdClientDevice client = await server.ConnectAsync();
        (await client.WriteAsync(1 << 20, Filled(1 << 20))).ShouldBe(BlockStatus.Ok);
        List<BlockExtent> extents = [];

        (await client.GetExtentsAsync(new BlockRange(0, Size), extents)).ShouldBe(BlockStatus.Ok);

        extents.ShouldBe(
        [
            new(new(0, 1 << 20), ExtentKind.Hole | ExtentKind.Zero),
            new(new(1 << 20, 1 << 20), ExtentKind.Data),
            new(new(2 << 20, Size - (2 << 20)), ExtentKind.Hole | ExtentKind.Zero),
        ]);
        (await client.DiscardAsync(new BlockRange(1 << 20, 1 << 20))).ShouldBe(BlockStatus.Ok);
        extents.Clear();
        (await client.GetExtentsAsync(new BlockRange(0, Size), extents, maxExtents: 1)).ShouldBe(BlockStatus.Ok);
        extents.ShouldBe([new(new(0, Size), ExtentKind.Hole | ExtentKind.Zero)]);
    }

    [Fact]
    public async Task Holes_of_a_sparse_read_arrive_as_zeroes_in_a_dirty_buffer()
    {
        using TempDirectory directory = new(onTmpfs: true);
        string file = await MakeRawAsync(directory);
        await using RealServer server = await RealServer.QemuNbdAsync("-f", "raw", file);
        await using NbdClientDevice client = await server.ConnectAsync();
        byte[] data = Filled(64 << 10);
        (await client.WriteAsync(256 << 10, data)).ShouldBe(BlockStatus.Ok);
        byte[] read = Filled(1 << 20);

        (await client.ReadAsync(0, read)).ShouldBe(BlockStatus.Ok);

        byte[] expected = new byte[1 << 20];
        data.CopyTo(expected, 256 << 10);
        read.AsSpan().SequenceEqual(expected).ShouldBeTrue();
    }

    [Fact]
    public async Task A_read_only_export_is_seen_as_such()
    {
        using TempDirectory directory = new(onTmpfs: true);
        await using RealServer server = await RealServer.QemuNbdAsync("-r", "-f", "raw", await MakeRawAsync(directory));
        await using NbdClientDevice client = await server.ConnectAsync();

        client.Capabilities.IsReadOnly.ShouldBeTrue();
        (await client.WriteAsync(0, new byte[512])).ShouldBe(BlockStatus.NotPermitted);
        (await client.ReadAsync(0, new byte[512])).ShouldBe(BlockStatus.Ok);
    }

    [Fact]
    public async Task A_named_export_is_listed_described_and_opened()
    {
        using TempDirectory directory = new(onTmpfs: true);
        string file = await MakeRawAsync(directory);
        await using RealServer server = await RealServer.QemuNbdAsync("-x", "disk é/1", "-D", "a description", "-f", "raw", file);
        NbdClientOptions options = server.Options with { Endpoint = server.Endpoint with { ExportName = "disk é/1" } };

        (await NbdClient.ListAsync(server.Options)).ShouldBe([new NbdExportListing("disk é/1", "a description")]);
        NbdExportInfo info = await NbdClient.GetInfoAsync(options);
        (info.SizeBytes, info.Description, info.MinimumBlockBytes).ShouldBe(((ulong)Size, "a description", 1u));
        info.Flags.HasFlag(NbdTransmissionFlags.SendFastZero | NbdTransmissionFlags.SendDf).ShouldBeTrue();
        await using NbdClientDevice client = await NbdClient.ConnectAsync(options);
        client.LengthBytes.ShouldBe(Size);
        NbdClientException e = await Should.ThrowAsync<NbdClientException>(() => server.ConnectAsync());
        e.Refusal.ShouldBe(NbdOptionReply.ErrorUnknown);
    }

    [Fact]
    public async Task A_full_disk_is_told_to_the_writer()
    {
        using TempDirectory directory = new(onTmpfs: true);
        string limited = directory.File("blkdebug.conf");
        await File.WriteAllTextAsync(limited, "[inject-error]\nevent = \"pwritev\"\nerrno = \"28\"\nonce = \"off\"\n");
        string file = await MakeRawAsync(directory);
        await using RealServer server = await RealServer.QemuNbdAsync(
            "--image-opts", $"driver=raw,file.driver=blkdebug,file.config={limited},file.image.driver=file,file.image.filename={file}");
        await using NbdClientDevice client = await server.ConnectAsync();

        (await client.WriteAsync(0, new byte[4096])).ShouldBe(BlockStatus.NoSpace);
        (await client.ReadAsync(0, new byte[4096])).ShouldBe(BlockStatus.Ok);
    }

    [Fact]
    public async Task Fast_zero_succeeds_where_the_file_can_and_reads_back_as_zeroes()
    {
        using TempDirectory directory = new(onTmpfs: true);
        await using RealServer server = await RealServer.QemuNbdAsync("-f", "raw", await MakeRawAsync(directory));
        await using NbdClientDevice client = await server.ConnectAsync();
        (await client.WriteAsync(0, Filled(1 << 20))).ShouldBe(BlockStatus.Ok);

        BlockStatus fast = await client.WriteZeroesAsync(new BlockRange(0, 1 << 20), RequestFlags.FastOnly | RequestFlags.MayUnmap);

        fast.ShouldBeOneOf(BlockStatus.Ok, BlockStatus.NotSupported);
        byte[] read = new byte[1 << 20];
        (await client.ReadAsync(0, read)).ShouldBe(BlockStatus.Ok);
        read.ShouldAllBe(b => b == (fast == BlockStatus.Ok ? 0 : 0xa5));
    }

    [Fact]
    public async Task A_disk_of_many_terabytes_is_zeroed_and_trimmed_whole()
    {
        using TempDirectory directory = new(onTmpfs: true);
        string image = directory.File("huge.qcow2");
        (await Tool.RunAsync("qemu-img", "create", "-f", "qcow2", image, "1T")).EnsureSuccess();
        await using RealServer server = await RealServer.QemuNbdAsync("--discard=unmap", "-f", "qcow2", image);
        await using NbdClientDevice client = await server.ConnectAsync();
        (await client.WriteAsync(1L << 39, Filled(4096))).ShouldBe(BlockStatus.Ok);

        (await client.DiscardAsync(new BlockRange(0, client.LengthBytes))).ShouldBe(BlockStatus.Ok);

        byte[] read = Filled(4096);
        (await client.ReadAsync(1L << 39, read)).ShouldBe(BlockStatus.Ok);
        read.ShouldAllBe(b => b == 0);
    }

    private static byte[] Filled(int length)
    {
        byte[] bytes = new byte[length];
        bytes.AsSpan().Fill(0xa5);
        return bytes;
    }

    private static async Task<string> MakeRawAsync(TempDirectory directory)
    {
        string file = directory.File("disk.raw");
        (await Tool.RunAsync("truncate", "-s", "8M", file)).EnsureSuccess();
        return file;
    }
}
