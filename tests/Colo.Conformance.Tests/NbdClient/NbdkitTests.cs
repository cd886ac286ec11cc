using Colo.Blocks;
using Colo.Nbd.Client;
using Colo.Nbd.Wire;
using Colo.Testing;

namespace Colo.Conformance.Tests.RealServers;

/// <summary>Our client against nbdkit and its filters: a server that fails, delays and refuses on demand.</summary>
public class NbdkitTests
{
    private const int Size = 8 << 20;

    [Theory]
    [InlineData("memory", "8M")]
    [InlineData("--no-sr", "memory", "8M")]
    [InlineData("--filter=nozero", "memory", "8M")]
    [InlineData("--filter=nozero", "memory", "8M", "zeromode=emulate")]
    [InlineData("--filter=fua", "memory", "8M", "fuamode=emulate")]
    [InlineData("--filter=noextents", "memory", "8M")]
    [InlineData("--filter=noparallel", "--filter=delay", "memory", "8M", "delay-read=1ms", "delay-write=1ms")]
    public async Task Random_work_leaves_the_right_bytes(params string[] arguments)
    {
        await using RealServer server = await RealServer.NbdkitAsync(arguments);
        await using NbdClientDevice client = await server.ConnectAsync();
        RandomWork work = new(seed: Environment.TickCount, Size);

        await work.RunAsync(client, rounds: 60);

        await work.VerifyAsync(client);
        client.Export.StructuredReplies.ShouldBe(arguments[0] != "--no-sr");
    }

    [Theory]
    [InlineData("EPERM", BlockStatus.NotPermitted)]
    [InlineData("EIO", BlockStatus.IoError)]
    [InlineData("ENOMEM", BlockStatus.OutOfMemory)]
    [InlineData("EINVAL", BlockStatus.InvalidArgument)]
    [InlineData("ENOSPC", BlockStatus.NoSpace)]
    [InlineData("ESHUTDOWN", BlockStatus.Shutdown)]
    public async Task Each_failing_request_tells_its_error(string error, BlockStatus status)
    {
        await using RealServer server = await RealServer.NbdkitAsync("--filter=error", "memory", "8M", $"error={error}", "error-rate=100%");
        await using NbdClientDevice client = await server.ConnectAsync();

        (await client.ReadAsync(0, new byte[4096])).ShouldBe(status);
        (await client.WriteAsync(0, new byte[4096])).ShouldBe(status);
        (await client.WriteAsync(0, new byte[1 << 20])).ShouldBe(status);
        (await client.WriteZeroesAsync(new BlockRange(0, 4096))).ShouldBe(status);
        (await client.DiscardAsync(new BlockRange(0, 4096))).ShouldBe(status);
        List<BlockExtent> extents = [];
        (await client.GetExtentsAsync(new BlockRange(0, 4096), extents)).ShouldBe(status);
        extents.ShouldBeEmpty();
        client.State.ShouldBe(NbdClientState.Connected);
    }

    [Fact]
    public async Task With_half_of_the_writes_failing_exactly_the_acknowledged_ones_are_there()
    {
        await using RealServer server = await RealServer.NbdkitAsync("--filter=error", "memory", "8M", "error-pwrite-rate=50%");
        await using NbdClientDevice client = await server.ConnectAsync();
        byte[] ones = new byte[4096];
        ones.AsSpan().Fill(1);
        ValueTask<BlockStatus>[] answers = new ValueTask<BlockStatus>[Size / 4096];
        using (IoBatch.Begin())
        {
            for (int i = 0; i < answers.Length; i++)
            {
                answers[i] = client.WriteAsync(i * 4096L, ones);
            }
        }

        BlockStatus[] statuses = new BlockStatus[answers.Length];
        for (int i = 0; i < answers.Length; i++)
        {
            statuses[i] = await answers[i];
        }

        byte[] content = new byte[Size];
        (await client.ReadAsync(0, content)).ShouldBe(BlockStatus.Ok);
        for (int i = 0; i < statuses.Length; i++)
        {
            content[i * 4096].ShouldBe((byte)(statuses[i] == BlockStatus.Ok ? 1 : 0), $"block {i}");
        }

        statuses.Count(s => s == BlockStatus.Ok).ShouldBeInRange(statuses.Length / 4, statuses.Length * 3 / 4);
        client.Counters.Errors.ShouldBe(statuses.Count(s => s != BlockStatus.Ok));
    }

    [Fact]
    public async Task Block_size_constraints_are_honoured()
    {
        await using RealServer server = await RealServer.NbdkitAsync(
            "--filter=blocksize-policy", "memory", "8M",
            "blocksize-minimum=4096", "blocksize-preferred=64K", "blocksize-maximum=128K", "blocksize-error-policy=error");
        await using NbdClientDevice client = await server.ConnectAsync();
        RandomWork work = new(seed: Environment.TickCount, Size, alignmentBytes: 4096);

        (client.Capabilities.MinimumBlockBytes, client.Capabilities.PreferredBlockBytes).ShouldBe((4096, 65536));
        (await client.WriteAsync(512, new byte[4096])).ShouldBe(BlockStatus.InvalidArgument);
        await work.RunAsync(client, rounds: 30);
        await work.VerifyAsync(client);
    }

    [Fact]
    public async Task Fast_zero_that_the_server_refuses_is_NotSupported_and_changes_nothing()
    {
        await using RealServer server = await RealServer.NbdkitAsync("--filter=nozero", "memory", "8M", "zeromode=emulate", "fastzeromode=slow");
        await using NbdClientDevice client = await server.ConnectAsync();
        byte[] written = new byte[8192];
        Random.Shared.NextBytes(written);
        (await client.WriteAsync(0, written)).ShouldBe(BlockStatus.Ok);

        client.Capabilities.CanZeroFast.ShouldBeTrue();
        (await client.WriteZeroesAsync(new BlockRange(0, 8192), RequestFlags.FastOnly)).ShouldBe(BlockStatus.NotSupported);

        byte[] read = new byte[8192];
        (await client.ReadAsync(0, read)).ShouldBe(BlockStatus.Ok);
        read.ShouldBe(written);
    }

    [Fact]
    public async Task Extents_of_a_sparse_disk_are_told_exactly()
    {
        await using RealServer server = await RealServer.NbdkitAsync("data", "@1048576 1*65536 @4194304 2*32768", "size=8M");
        await using NbdClientDevice client = await server.ConnectAsync();
        List<BlockExtent> extents = [];
        long at = 0;
        while (at < Size)
        {
            (await client.GetExtentsAsync(BlockRange.FromTo(at, Size), extents)).ShouldBe(BlockStatus.Ok);
            at = extents[^1].Range.End;
        }

        extents.ShouldBe(
        [
            new(new(0, 1 << 20), ExtentKind.Hole | ExtentKind.Zero),
            new(new(1 << 20, 65536), ExtentKind.Data),
            new(new((1 << 20) + 65536, (3 << 20) - 65536), ExtentKind.Hole | ExtentKind.Zero),
            new(new(4 << 20, 32768), ExtentKind.Data),
            new(new((4 << 20) + 32768, (4 << 20) - 32768), ExtentKind.Hole | ExtentKind.Zero),
        ]);
    }

    [Fact]
    public async Task Replies_in_any_order_find_their_requests()
    {
        // Reads of even blocks are held back; the odd ones behind them overtake.
        const string Pread = """
            if [ $(($4 / 512 % 2)) = 0 ]; then sleep 0.5; fi
            for i in $(seq 16); do printf 'block %025d\n' $(($4 / 512)); done
            """;
        await using RealServer server = await RealServer.NbdkitAsync(
            "eval", "get_size=echo 64K", "thread_model=echo parallel", "pread=" + Pread);
        await using NbdClientDevice client = await server.ConnectAsync();
        byte[][] reads = [.. Enumerable.Range(0, 16).Select(_ => new byte[512])];
        List<int> order = [];

        Task[] tasks = [.. reads.Select(ReadAsync)];
        await Task.WhenAll(tasks);

        order.Take(8).ShouldAllBe(i => i % 2 == 1);
        for (int i = 0; i < reads.Length; i++)
        {
            System.Text.Encoding.ASCII.GetString(reads[i], 0, 32).ShouldBe($"block {i:d25}\n");
        }

        async Task ReadAsync(byte[] into, int i)
        {
            (await client.ReadAsync(i * 512, into)).ShouldBe(BlockStatus.Ok);
            lock (order)
            {
                order.Add(i);
            }
        }
    }

    [Fact]
    public async Task A_plugin_that_fails_one_block_of_a_disk_fails_only_its_reads()
    {
        const string Pread = """
            if [ "$4" = 4096 ]; then echo 'ENOMEM the block is cursed' >&2; exit 1; fi
            dd if=/dev/zero bs=$3 count=1 2>/dev/null
            """;
        await using RealServer server = await RealServer.NbdkitAsync("eval", "get_size=echo 64K", "pread=" + Pread);
        await using NbdClientDevice client = await server.ConnectAsync();

        (await client.ReadAsync(0, new byte[4096])).ShouldBe(BlockStatus.Ok);
        (await client.ReadAsync(4096, new byte[4096])).ShouldBe(BlockStatus.OutOfMemory);
        (await client.ReadAsync(8192, new byte[4096])).ShouldBe(BlockStatus.Ok);
    }

    [Fact]
    public async Task A_flush_on_one_connection_comes_after_the_answered_writes_of_another()
    {
        using TempDirectory directory = new();
        string log = directory.File("requests.log");
        await using RealServer server = await RealServer.NbdkitAsync("--filter=log", "memory", "8M", "logfile=" + log);
        await using NbdClientDevice writer = await server.ConnectAsync();
        await using NbdClientDevice flusher = await server.ConnectAsync();
        writer.Capabilities.FlushCoversAll.ShouldBeTrue();

        for (int i = 0; i < 8; i++)
        {
            (await writer.WriteAsync(i * 4096, new byte[4096])).ShouldBe(BlockStatus.Ok);
        }

        (await flusher.FlushAsync()).ShouldBe(BlockStatus.Ok);

        string[] lines = await File.ReadAllLinesAsync(log);
        int flush = Array.FindIndex(lines, l => l.Contains(" Flush ", StringComparison.Ordinal));
        Array.FindLastIndex(lines, l => l.Contains("...Write ", StringComparison.Ordinal)).ShouldBeLessThan(flush);
        lines.Count(l => l.Contains("...Write ", StringComparison.Ordinal)).ShouldBe(8);
    }

    [Fact]
    public async Task Exports_are_listed_and_chosen_by_name()
    {
        await using RealServer server = await RealServer.NbdkitAsync(
            "eval", "list_exports=echo NAMES; echo alpha; echo beta", "get_size=echo 1M", "open=echo $3",
            "pread=dd if=/dev/zero bs=1 count=$3 2>/dev/null");
        NbdClientOptions options = server.Options with { Endpoint = server.Endpoint with { ExportName = "beta" } };

        (await NbdClient.ListAsync(server.Options)).Select(e => e.Name).ShouldBe(["alpha", "beta"]);
        await using NbdClientDevice client = await NbdClient.ConnectAsync(options);
        client.LengthBytes.ShouldBe(1 << 20);
    }

    [Fact]
    public async Task DISC_lets_a_server_end_in_order()
    {
        RealServer server = await RealServer.NbdkitAsync("--filter=exitlast", "memory", "8M");
        await using (server)
        {
            NbdClientDevice client = await server.ConnectAsync();
            await client.DisposeAsync();

            await Eventually.TrueAsync(() => server.HasExited, "the exitlast filter ends the server after its last client");
        }
    }

    [Fact]
    public async Task A_server_that_dies_fails_every_pending_request_at_once_without_a_reconnect_policy()
    {
        await using RealServer server = await RealServer.NbdkitAsync("--filter=delay", "memory", "8M", "delay-write=60");
        await using NbdClientDevice client = await server.ConnectAsync();
        ValueTask<BlockStatus>[] answers = [.. Enumerable.Range(0, 8).Select(i => client.WriteAsync(i * 4096, new byte[4096]))];

        await server.KillAsync();

        foreach (ValueTask<BlockStatus> answer in answers)
        {
            (await answer).ShouldBe(BlockStatus.IoError);
        }

        client.State.ShouldBe(NbdClientState.Failed);
    }

    [Fact]
    public async Task Tcp_works_as_a_unix_socket_does()
    {
        await using RealServer server = await RealServer.NbdkitOnTcpAsync("memory", "8M");
        await using NbdClientDevice client = await NbdClient.ConnectAsync(server.Endpoint.ToString());
        RandomWork work = new(seed: Environment.TickCount, Size);

        await work.RunAsync(client, rounds: 40);

        await work.VerifyAsync(client);
    }

    [Fact]
    public async Task The_largest_payload_and_odd_lengths_pass()
    {
        await using RealServer server = await RealServer.NbdkitAsync("memory", "100M");
        await using NbdClientDevice client = await server.ConnectAsync();
        byte[] written = new byte[(70 << 20) + 13];
        Random.Shared.NextBytes(written);
        byte[] read = new byte[written.Length];

        (await client.WriteAsync(7, written)).ShouldBe(BlockStatus.Ok);
        (await client.ReadAsync(7, read)).ShouldBe(BlockStatus.Ok);

        read.AsSpan().CommonPrefixLength(written).ShouldBe(written.Length);
        client.Export.Flags.HasFlag(NbdTransmissionFlags.CanMultiConn).ShouldBeTrue();
    }
}
