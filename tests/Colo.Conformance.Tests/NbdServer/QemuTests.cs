using System.Text.Json;
using Colo.Testing;

namespace Colo.Conformance.Tests.ServerSide;

/// <summary>QEMU's NBD client (qemu-img, qemu-io), fio's and nbd-client.</summary>
public sealed class QemuTests
{
    private const long Size = 128 << 20;

    [Fact]
    public async Task Qemu_img_info_map_and_compare_accept_the_export()
    {
        SparseDisk disk = new(Size);
        await disk.WriteAsync(1 << 20, new byte[1 << 20]);
        await using ServedDisk served = await ServedDisk.StartAsync(disk);
        using JsonDocument info = JsonDocument.Parse(
            (await Tool.RunAsync("qemu-img", "info", "--output=json", "-f", "raw", served.Uri)).EnsureSuccess());
        info.RootElement.GetProperty("virtual-size").GetInt64().ShouldBe(Size);

        using JsonDocument map = JsonDocument.Parse(
            (await Tool.RunAsync("qemu-img", "map", "--output=json", "-f", "raw", served.Uri)).EnsureSuccess());
        map.RootElement.EnumerateArray().Select(e => (e.GetProperty("start").GetInt64(), e.GetProperty("zero").GetBoolean()))
            .ShouldBe([(0, true), (1 << 20, false), (2 << 20, true)]);

        string empty = served.Directory.File("empty");
        (await Tool.RunAsync("truncate", "-s", $"{Size}", empty)).EnsureSuccess();
        (await Tool.RunAsync("qemu-img", "compare", "-f", "raw", "-F", "raw", empty, served.Uri)).EnsureSuccess();
        await disk.WriteAsync(5 << 20, new byte[] { 1 });
        (await Tool.RunAsync("qemu-img", "compare", "-f", "raw", "-F", "raw", empty, served.Uri)).ExitCode.ShouldBe(1);
    }

    [Fact]
    public async Task Qemu_img_converts_in_and_out()
    {
        await using ServedDisk served = await ServedDisk.StartAsync(new SparseDisk(Size));
        string source = served.Directory.File("in");
        string target = served.Directory.File("out.qcow2");
        (await Tool.BashAsync($"head -c 40000001 /dev/urandom > {source}; truncate -s {Size} {source}")).EnsureSuccess();
        (await Tool.RunAsync("qemu-img", "convert", "-n", "-W", "-m", "16", "-f", "raw", "-O", "raw", source, served.Uri)).EnsureSuccess();
        (await Tool.RunAsync("qemu-img", "convert", "-f", "raw", "-O", "qcow2", served.Uri, target)).EnsureSuccess();
        (await Tool.RunAsync("qemu-img", "compare", "-f", "raw", "-F", "qcow2", source, target)).EnsureSuccess();
        ((SparseDisk)served.Export.Device).Flushes.ShouldBeGreaterThan(0);
    }

    [Fact]
    public async Task Qemu_io_writes_zeroes_discards_and_reads_back()
    {
        await using ServedDisk served = await ServedDisk.StartAsync(new SparseDisk(Size));
        ToolResult result = await Tool.RunAsync(
            "qemu-io",
            "-f", "raw",
            "-c", "write -P 0xa5 0 3M", "-c", "write -f -P 0x5a 1M 64k", "-c", "write -z -u 2M 512k", "-c", "discard 0 64k", "-c", "flush",
            "-c", "read -P 0xa5 64k 960k", "-c", "read -P 0x5a 1M 64k", "-c", "read -P 0 2M 512k", "-c", "read -P 0xa5 2560k 512k",
            "-c", "aio_write -P 0x11 8M 1M", "-c", "aio_write -P 0x22 9M 1M", "-c", "aio_flush",
            "-c", "read -P 0x11 8M 1M", "-c", "read -P 0x22 9M 1M",
            served.Uri);
        result.EnsureSuccess().ShouldNotContain("verification failed");
    }

    [Fact]
    public async Task Qemu_io_sees_errors_of_the_device_and_goes_on()
    {
        MemoryDisk disk = new(1 << 20) { Fault = (op, offset) => op == "write" && offset == 65536 ? Blocks.BlockStatus.IoError : 0 };
        await using ServedDisk served = await ServedDisk.StartAsync(disk);
        ToolResult result = await Tool.RunAsync(
            "qemu-io", "-f", "raw", "-c", "write 64k 4k", "-c", "write -P 3 0 4k", "-c", "read -P 3 0 4k", served.Uri);
        (result.Output + result.Error).ShouldContain("write failed: Input/output error");
        result.Output.ShouldContain("read 4096/4096 bytes");
    }

    [Theory]
    [InlineData(1)]
    [InlineData(32)]
    public async Task Fio_verifies_what_it_wrote(int depth)
    {
        await using ServedDisk served = await ServedDisk.StartAsync(new SparseDisk(Size));
        ToolResult result = await Tool.RunAsync(
            "fio",
            "--name=verify", "--ioengine=nbd", $"--uri={served.Uri}", "--rw=randwrite", "--bsrange=512-128k", "--bs_unaligned=1",
            $"--iodepth={depth}", "--size=32M", "--verify=crc32c", "--verify_fatal=1", "--randrepeat=1", "--output-format=terse");
        result.EnsureSuccess();
        served.Export.Metrics.Snapshot(Nbd.Server.NbdOperation.Read).Bytes.ShouldBeGreaterThan(30 << 20);
    }

    [Fact]
    public async Task Nbd_client_lists_the_export()
    {
        await using Nbd.Server.NbdServer server = new(
            new() { Listeners = [new Nbd.Server.NbdListener.Tcp(new(System.Net.IPAddress.Loopback, 0))] },
            new Nbd.Server.NbdExportTable(new Nbd.Server.NbdExport("disk", new SparseDisk(Size))));
        await server.StartAsync();
        int port = ((System.Net.IPEndPoint)server.Endpoints[0]).Port;
        (await Tool.RunAsync("nbd-client", "-l", "127.0.0.1", "-N", "disk", $"{port}")).EnsureSuccess().ShouldContain("disk");
    }
}
