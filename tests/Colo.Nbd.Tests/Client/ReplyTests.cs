using Colo.Blocks;
using Colo.Nbd.Client;
using Colo.Nbd.Wire;

namespace Colo.Nbd.Tests.Client;

/// <summary>Good replies in every form that proto.md allows.</summary>
public class ReplyTests
{
    private static readonly ScriptedExport Compact = new();
    private static readonly ScriptedExport Extended = new() { Extended = true };

    public static TheoryData<bool> BothHeaders => new(false, true);

    [Theory]
    [MemberData(nameof(BothHeaders))]
    public async Task A_read_takes_data_and_holes_in_any_order(bool extended)
    {
        await using ScriptedServer server = new(extended ? Extended : Compact, async connection =>
        {
            ScriptedRequest request = await connection.ReadRequestAsync();
            await connection.DataAsync(request, 1000 + 6, [7, 8]);
            await connection.HoleAsync(request, 1000 + 2, 3);
            await connection.DataAsync(request, 1000 + 5, [6]);
            await connection.DataAsync(request, 1000, [1, 2]);
            await connection.DoneAsync(request);
        });
        await using NbdClientDevice client = await server.ConnectAsync();
        byte[] read = new byte[8];
        read.AsSpan().Fill(0xee);

        (await client.ReadAsync(1000, read)).ShouldBe(BlockStatus.Ok);

        read.ShouldBe([1, 2, 0, 0, 0, 6, 7, 8]);
    }

    [Fact]
    public async Task The_last_data_chunk_may_end_the_reply()
    {
        await using ScriptedServer server = new(Compact, async connection =>
        {
            ScriptedRequest request = await connection.ReadRequestAsync();
            await connection.HoleAsync(request, 0, 2);
            await connection.DataAsync(request, 2, [5], done: true);
        });
        await using NbdClientDevice client = await server.ConnectAsync();
        byte[] read = [9, 9, 9];

        (await client.ReadAsync(0, read)).ShouldBe(BlockStatus.Ok);

        read.ShouldBe([0, 0, 5]);
    }

    [Fact]
    public async Task Chunks_of_several_reads_may_alternate()
    {
        await using ScriptedServer server = new(Compact, async connection =>
        {
            ScriptedRequest first = await connection.ReadRequestAsync();
            ScriptedRequest second = await connection.ReadRequestAsync();
            await connection.DataAsync(second, 10, [3]);
            await connection.DataAsync(first, 1, [2]);
            await connection.DataAsync(second, 11, [4], done: true);
            await connection.DataAsync(first, 0, [1], done: true);
        });
        await using NbdClientDevice client = await server.ConnectAsync();
        byte[] one = new byte[2];
        byte[] two = new byte[2];

        ValueTask<BlockStatus> first = client.ReadAsync(0, one);
        ValueTask<BlockStatus> second = client.ReadAsync(10, two);

        (await second).ShouldBe(BlockStatus.Ok);
        (await first).ShouldBe(BlockStatus.Ok);
        one.ShouldBe([1, 2]);
        two.ShouldBe([3, 4]);
    }

    [Theory]
    [MemberData(nameof(BothHeaders))]
    public async Task An_error_with_an_offset_fails_its_read_alone(bool extended)
    {
        await using ScriptedServer server = new(extended ? Extended : Compact, async connection =>
        {
            ScriptedRequest request = await connection.ReadRequestAsync();
            await connection.DataAsync(request, 0, [1]);
            await connection.ChunkAsync(
                request,
                NbdReplyType.ErrorOffset,
                done: false,
                [.. ScriptedConnection.Big(5u), 0, 3, .. "bad"u8, .. ScriptedConnection.Big(1ul)]);
            await connection.DoneAsync(request);
            await connection.AcceptAsync(await connection.ReadRequestAsync());
        });
        await using NbdClientDevice client = await server.ConnectAsync();

        (await client.ReadAsync(0, new byte[2])).ShouldBe(BlockStatus.IoError);
        (await client.FlushAsync()).ShouldBe(BlockStatus.Ok);
        client.Counters.Errors.ShouldBe(1);
    }

    [Theory]
    [InlineData(1u, BlockStatus.NotPermitted)]
    [InlineData(5u, BlockStatus.IoError)]
    [InlineData(12u, BlockStatus.OutOfMemory)]
    [InlineData(22u, BlockStatus.InvalidArgument)]
    [InlineData(28u, BlockStatus.NoSpace)]
    [InlineData(75u, BlockStatus.Overflow)]
    [InlineData(95u, BlockStatus.NotSupported)]
    [InlineData(108u, BlockStatus.Shutdown)]
    [InlineData(123456u, BlockStatus.InvalidArgument)]
    public async Task Every_error_of_a_write_reaches_its_caller(uint error, BlockStatus status)
    {
        await using ScriptedServer server = new(Compact, async connection =>
        {
            await connection.SimpleReplyAsync(await connection.ReadRequestAsync(), error);
            ScriptedRequest request = await connection.ReadRequestAsync();
            await connection.ChunkAsync(request, NbdReplyType.Error, done: true, [.. ScriptedConnection.Big(error), 0, 0]);
        });
        await using NbdClientDevice client = await server.ConnectAsync();

        (await client.WriteAsync(0, new byte[1])).ShouldBe(status);
        (await client.WriteAsync(0, new byte[1])).ShouldBe(status);
    }

    [Fact]
    public async Task An_error_chunk_of_an_unknown_type_is_an_error()
    {
        await using ScriptedServer server = new(Compact, async connection =>
        {
            ScriptedRequest request = await connection.ReadRequestAsync();
            await connection.ChunkAsync(request, (NbdReplyType)0x8123, done: true, [.. ScriptedConnection.Big(28u), 0, 1, 65, 9, 9, 9]);
        });
        await using NbdClientDevice client = await server.ConnectAsync();

        (await client.WriteAsync(0, new byte[1])).ShouldBe(BlockStatus.NoSpace);
    }

    [Fact]
    public async Task Block_status_is_clipped_to_what_was_asked()
    {
        await using ScriptedServer server = new(Compact, async connection =>
        {
            ScriptedRequest request = await connection.ReadRequestAsync();
            (request.Command, request.Flags).ShouldBe((NbdCommand.BlockStatus, NbdCommandFlags.None));
            await connection.ChunkAsync(
                request,
                NbdReplyType.BlockStatus,
                done: true,
                [
                    .. ScriptedConnection.Big(7u),
                    .. ScriptedConnection.Big(512u), .. ScriptedConnection.Big(0u),
                    .. ScriptedConnection.Big(512u), .. ScriptedConnection.Big(3u),
                    .. ScriptedConnection.Big(1u << 31), .. ScriptedConnection.Big(2u),
                ]);
        });
        await using NbdClientDevice client = await server.ConnectAsync();
        List<BlockExtent> extents = [];

        (await client.GetExtentsAsync(new BlockRange(4096, 2048), extents)).ShouldBe(BlockStatus.Ok);

        extents.ShouldBe(
        [
            new(new(4096, 512), ExtentKind.Data),
            new(new(4608, 512), ExtentKind.Hole | ExtentKind.Zero),
            new(new(5120, 1024), ExtentKind.Zero),
        ]);
    }

    [Fact]
    public async Task Extended_block_status_carries_64_bit_extents()
    {
        await using ScriptedServer server = new(Extended with { SizeBytes = 1ul << 40 }, async connection =>
        {
            ScriptedRequest request = await connection.ReadRequestAsync();
            request.Length.ShouldBe(1ul << 40);
            await connection.ChunkAsync(
                request,
                NbdReplyType.BlockStatusExtended,
                done: true,
                [
                    .. ScriptedConnection.Big(7u), .. ScriptedConnection.Big(2u),
                    .. ScriptedConnection.Big(1ul << 39), .. ScriptedConnection.Big(3ul),
                    .. ScriptedConnection.Big(1ul << 39), .. ScriptedConnection.Big(0ul),
                ]);
        });
        await using NbdClientDevice client = await server.ConnectAsync();
        List<BlockExtent> extents = [];

        (await client.GetExtentsAsync(new BlockRange(0, 1L << 40), extents)).ShouldBe(BlockStatus.Ok);

        extents.ShouldBe([new(new(0, 1L << 39), ExtentKind.Hole | ExtentKind.Zero), new(new(1L << 39, 1L << 39), ExtentKind.Data)]);
    }

    [Fact]
    public async Task One_extent_is_asked_for_by_REQ_ONE()
    {
        await using ScriptedServer server = new(Compact, async connection =>
        {
            ScriptedRequest request = await connection.ReadRequestAsync();
            request.Flags.ShouldBe(NbdCommandFlags.ReqOne);
            await connection.ChunkAsync(
                request,
                NbdReplyType.BlockStatus,
                done: true,
                [.. ScriptedConnection.Big(7u), .. ScriptedConnection.Big(512u), .. ScriptedConnection.Big(0u)]);
        });
        await using NbdClientDevice client = await server.ConnectAsync();
        List<BlockExtent> extents = [];

        (await client.GetExtentsAsync(new BlockRange(0, 4096), extents, maxExtents: 1)).ShouldBe(BlockStatus.Ok);

        extents.ShouldBe([new(new(0, 512), ExtentKind.Data)]);
    }

    [Fact]
    public async Task Without_block_status_everything_is_data()
    {
        await using ScriptedServer server = new(Compact with { AllocationId = null }, connection => Task.Delay(Timeout.Infinite, connection.Stop));
        await using NbdClientDevice client = await server.ConnectAsync();
        List<BlockExtent> extents = [];

        (await client.GetExtentsAsync(new BlockRange(0, 4096), extents)).ShouldBe(BlockStatus.Ok);

        extents.ShouldBe([new(new(0, 4096), ExtentKind.Data)]);
    }

    [Fact]
    public async Task Reads_ask_not_to_be_fragmented_where_that_is_wanted()
    {
        await using ScriptedServer server = new(Compact, async connection =>
        {
            ScriptedRequest request = await connection.ReadRequestAsync();
            request.Flags.ShouldBe(NbdCommandFlags.Df);
            await connection.DataAsync(request, 0, [1], done: true);
        });
        await using NbdClientDevice client = await NbdClientDevice.ConnectAsync(server.Options with { DontFragmentReads = true });

        (await client.ReadAsync(0, new byte[1])).ShouldBe(BlockStatus.Ok);
    }
}
