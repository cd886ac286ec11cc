using System.Text.Json;
using Colo.Blocks;
using Colo.Nbd.Server;
using Colo.Testing;

namespace Colo.Conformance.Tests.ServerSide;

/// <summary>libnbd's tools: nbdinfo, nbdcopy, nbdsh.</summary>
public sealed class LibnbdTests
{
    private const long Size = 256 << 20;

    [Fact]
    public async Task Nbdinfo_sees_size_flags_and_contexts()
    {
        NbdExport export = new("disk", new SparseDisk(Size)) { Description = "a test disk", Checkpoint = _ => new(BlockStatus.Ok) };
        await using ServedDisk served = await ServedDisk.StartAsync(export);
        using JsonDocument json = JsonDocument.Parse((await Tool.RunAsync("nbdinfo", "--json", served.Uri)).EnsureSuccess());
        json.RootElement.GetProperty("structured").GetBoolean().ShouldBeTrue();
        JsonElement info = json.RootElement.GetProperty("exports")[0];
        info.GetProperty("export-size").GetInt64().ShouldBe(Size);
        info.GetProperty("description").GetString().ShouldBe("a test disk");
        foreach (string flag in (string[])["can_cache", "can_df", "can_fast_zero", "can_flush", "can_fua", "can_multi_conn", "can_trim", "can_zero"])
        {
            info.GetProperty(flag).GetBoolean().ShouldBeTrue(flag);
        }

        info.GetProperty("is_read_only").GetBoolean().ShouldBeFalse();
        info.GetProperty("block_size_minimum").GetInt32().ShouldBe(1);
        info.GetProperty("block_size_maximum").GetInt32().ShouldBe(32 << 20);
        info.GetProperty("contexts").EnumerateArray().Select(context => context.GetString()).ShouldBe(["base:allocation", "colo:checkpoint"]);
    }

    [Fact]
    public async Task Nbdinfo_lists_and_maps()
    {
        SparseDisk disk = new(Size);
        await disk.WriteAsync(1 << 20, new byte[2 << 20]);
        await using ServedDisk served = await ServedDisk.StartAsync(disk);
        (await Tool.RunAsync("nbdinfo", "--list", served.Uri)).EnsureSuccess().ShouldContain("disk");
        using JsonDocument map = JsonDocument.Parse((await Tool.RunAsync("nbdinfo", "--map", "--json", served.Uri)).EnsureSuccess());
        map.RootElement.EnumerateArray()
            .Select(extent => (extent.GetProperty("offset").GetInt64(), extent.GetProperty("length").GetInt64(), extent.GetProperty("type").GetInt32()))
            .ShouldBe([(0, 1 << 20, 3), (1 << 20, 2 << 20, 0), (3 << 20, Size - (3 << 20), 3)]);
    }

    [Fact]
    public async Task Nbdcopy_in_and_out_over_four_connections_keeps_every_byte()
    {
        await using ServedDisk served = await ServedDisk.StartAsync(new SparseDisk(Size));
        string source = served.Directory.File("in");
        string target = served.Directory.File("out");
        (await Tool.BashAsync($"head -c 100000001 /dev/urandom > {source}; truncate -s {Size} {source}")).EnsureSuccess();
        (await Tool.RunAsync("nbdcopy", "--connections=4", "--requests=16", "--flush", source, served.Uri)).EnsureSuccess();
        (await Tool.RunAsync("nbdcopy", "--connections=4", served.Uri, target)).EnsureSuccess();
        (await Tool.RunAsync("cmp", source, target)).EnsureSuccess();
        (await Tool.RunAsync("nbdcopy", "--connections=4", served.Uri, served.Uri)).EnsureSuccess();
        (await Tool.RunAsync("nbdcopy", "--synchronous", served.Uri, target)).EnsureSuccess();
        (await Tool.RunAsync("cmp", source, target)).EnsureSuccess();
    }

    [Fact]
    public async Task Nbdsh_gets_the_errors_and_effects_that_the_specification_names()
    {
        await using ServedDisk served = await ServedDisk.StartAsync(new SparseDisk(Size));
        const string script = """
            import os, errno
            h.set_strict_mode(0)
            h.add_meta_context("base:allocation")
            h.connect_uri(os.environ["URI"])
            assert h.get_structured_replies_negotiated()
            size = h.get_size()

            def fails(code, call, *arguments):
                try:
                    call(*arguments)
                except nbd.Error as e:
                    assert e.errnum == code, (call.__name__, arguments, e.errnum, code)
                    return
                raise AssertionError("no error: %s %s" % (call.__name__, arguments))

            odd = os.urandom(3 * 1048576 + 17)
            h.pwrite(odd, 12345, nbd.CMD_FLAG_FUA)
            assert h.pread(len(odd), 12345) == odd
            assert h.pread(1048577, 12346, nbd.CMD_FLAG_DF) == odd[1:1048578]
            assert h.pread(1, 12345 + len(odd)) == b"\0"

            seen = []
            h.pread_structured(2000001, 12345, lambda data, at, kind, error: seen.append((at, len(data), kind)))
            assert sum(length for _, length, _ in seen) == 2000001

            h.zero(1048576, 1048576, nbd.CMD_FLAG_FAST_ZERO)
            assert h.pread(1048576, 1048576) == bytearray(1048576)
            h.zero(65536, 8388608, nbd.CMD_FLAG_NO_HOLE)
            h.trim(65536, 65536, nbd.CMD_FLAG_FUA)
            h.cache(1048576, 0)
            h.flush()

            extents = []
            h.block_status(16777216, 0, lambda context, at, entries, error: extents.extend(entries))
            assert sum(extents[::2]) <= 16777216 and len(extents) > 4, extents
            one = []
            h.block_status(16777216, 0, lambda context, at, entries, error: one.extend(entries), nbd.CMD_FLAG_REQ_ONE)
            assert len(one) == 2, one
            hole = []
            h.block_status(65536, 8388608, lambda context, at, entries, error: hole.extend(entries))
            assert hole == [65536, 0], hole

            fails(errno.ENOSPC, h.pwrite, b"xx", size - 1)
            fails(errno.ENOSPC, h.zero, 2, size - 1)
            fails(errno.EINVAL, h.pread, 2, size - 1)
            fails(errno.EINVAL, h.trim, 2, size - 1)
            fails(errno.EINVAL, h.pread, 512, 0, nbd.CMD_FLAG_NO_HOLE)
            assert h.pread(512, size - 512) == bytearray(512)
            h.shutdown()
            """;
        (await NbdshAsync(served, script)).EnsureSuccess();
    }

    [Fact]
    public async Task Nbdsh_without_structured_replies_reads_and_writes()
    {
        await using ServedDisk served = await ServedDisk.StartAsync(new SparseDisk(Size));
        const string script = """
            import os
            h.set_request_structured_replies(False)
            h.connect_uri(os.environ["URI"])
            assert not h.get_structured_replies_negotiated() and not h.can_df()
            data = os.urandom(1500001)
            h.pwrite(data, 7)
            assert h.pread(len(data), 7) == data
            """;
        (await NbdshAsync(served, script)).EnsureSuccess();
    }

    [Fact]
    public async Task Nbdsh_sees_a_read_only_export()
    {
        await using ServedDisk served = await ServedDisk.StartAsync(new NbdExport("ro", new SparseDisk(Size)) { IsReadOnly = true });
        const string script = """
            import os, errno
            h.set_strict_mode(0)
            h.connect_uri(os.environ["URI"])
            assert h.is_read_only()
            for call in (lambda: h.pwrite(b"x" * 100000, 0), lambda: h.zero(512, 0), lambda: h.trim(512, 0)):
                try:
                    call()
                    raise AssertionError("no error")
                except nbd.Error as e:
                    assert e.errnum == errno.EPERM, e
            assert h.pread(512, 0) == bytearray(512)
            """;
        (await NbdshAsync(served, script)).EnsureSuccess();
    }

    /// <summary>As the nbdsh script does it, but with the system's python whatever stands first on the path.</summary>
    private static async Task<ToolResult> NbdshAsync(ServedDisk served, string script)
    {
        Dictionary<string, string> environment = new(StringComparer.Ordinal) { ["URI"] = served.Uri };
        await using RunningTool nbdsh = RunningTool.Start("/usr/bin/python3", ["-m", "nbd", "-c", script], environment);
        return await nbdsh.WaitAsync();
    }
}
