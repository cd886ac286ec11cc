using Colo.Blocks;
using Colo.Nbd.Client;
using Colo.Nbd.Wire;
using static Colo.Nbd.Tests.Client.ScriptedConnection;

namespace Colo.Nbd.Tests.Client;

/// <summary>Each breaks the protocol in one way; the connection ends with the named error and every request gets an answer.</summary>
public class HostileServerTests
{
    private static readonly ScriptedExport Export = new() { CheckpointId = 8 };

    [Fact]
    public Task Garbage_magic() => ReadEndsWith(
        NbdClientErrorKind.BadMagic, (c, _) => c.SendAsync("HTTP/1.1 400 Bad Request\r\n\r\n"u8.ToArray()));

    [Fact]
    public Task An_extended_reply_that_was_not_agreed_on() => ReadEndsWith(
        NbdClientErrorKind.BadMagic, (c, r) => c.SendAsync(Big(NbdMagic.ExtendedReply), new byte[28]));

    [Fact]
    public Task An_unknown_cookie() => ReadEndsWith(
        NbdClientErrorKind.UnknownCookie, (c, r) => c.SimpleReplyAsync(r with { Cookie = 0xdeadbeef }));

    [Fact]
    public Task A_cookie_of_an_earlier_generation() => ReadEndsWith(
        NbdClientErrorKind.UnknownCookie, (c, r) => c.DoneAsync(r with { Cookie = r.Cookie - (1ul << 32) }));

    [Fact]
    public Task A_second_reply_to_one_request() => ReadEndsWith(
        NbdClientErrorKind.UnknownCookie,
        async (c, r) =>
        {
            await c.DataAsync(r, r.Offset, new byte[(int)r.Length], done: true);
            await c.DataAsync(r, r.Offset, new byte[(int)r.Length], done: true);
        },
        isAnswered: true);

    [Fact]
    public Task A_simple_reply_to_a_read_where_chunks_were_agreed_on() =>
        ReadEndsWith(NbdClientErrorKind.UnexpectedReply, (c, r) => c.SimpleReplyAsync(r));

    [Fact]
    public Task A_chunk_longer_than_the_read() => ReadEndsWith(
        NbdClientErrorKind.BadLength, (c, r) => c.DataAsync(r, r.Offset, new byte[(int)r.Length + 1]));

    [Fact]
    public Task A_chunk_that_claims_four_gigabytes() => ReadEndsWith(
        NbdClientErrorKind.BadLength, (c, r) => c.ChunkAsync(r, NbdReplyType.OffsetData, done: true, Big(r.Offset), uint.MaxValue));

    [Fact]
    public Task A_chunk_without_data() => ReadEndsWith(
        NbdClientErrorKind.BadLength, (c, r) => c.DataAsync(r, r.Offset, []));

    [Fact]
    public Task Data_before_the_read() => ReadEndsWith(
        NbdClientErrorKind.UnexpectedReply, (c, r) => c.DataAsync(r, r.Offset - 1, [1]));

    [Fact]
    public Task Data_behind_the_read() => ReadEndsWith(
        NbdClientErrorKind.UnexpectedReply, (c, r) => c.DataAsync(r, r.Offset + r.Length, [1]));

    [Fact]
    public Task A_hole_that_reaches_out_of_the_read() => ReadEndsWith(
        NbdClientErrorKind.UnexpectedReply, (c, r) => c.HoleAsync(r, r.Offset + 1, (uint)r.Length));

    [Fact]
    public Task The_same_bytes_twice() => ReadEndsWith(
        NbdClientErrorKind.UnexpectedReply,
        async (c, r) =>
        {
            await c.DataAsync(r, r.Offset, [1, 2]);
            await c.DataAsync(r, r.Offset + 1, [2]);
        });

    [Fact]
    public Task The_same_bytes_twice_out_of_order() => ReadEndsWith(
        NbdClientErrorKind.UnexpectedReply,
        async (c, r) =>
        {
            await c.DataAsync(r, r.Offset + 4, [1, 2]);
            await c.DataAsync(r, r.Offset + 2, [1, 2, 3]);
        });

    [Fact]
    public Task A_read_that_ends_without_its_data() => ReadEndsWith(
        NbdClientErrorKind.UnexpectedReply,
        async (c, r) =>
        {
            await c.DataAsync(r, r.Offset, [1]);
            await c.DoneAsync(r);
        });

    [Fact]
    public Task An_end_that_is_none() => ReadEndsWith(
        NbdClientErrorKind.BadLength, (c, r) => c.ChunkAsync(r, NbdReplyType.None, done: false, []));

    [Fact]
    public Task An_end_with_a_payload() => ReadEndsWith(
        NbdClientErrorKind.BadLength, (c, r) => c.ChunkAsync(r, NbdReplyType.None, done: true, [1]));

    [Fact]
    public Task A_chunk_of_unknown_type() => ReadEndsWith(
        NbdClientErrorKind.UnexpectedReply, (c, r) => c.ChunkAsync(r, (NbdReplyType)99, done: true, []));

    [Fact]
    public Task Block_status_in_answer_to_a_read() => ReadEndsWith(
        NbdClientErrorKind.UnexpectedReply, (c, r) => c.ChunkAsync(r, NbdReplyType.BlockStatus, done: true, new byte[12]));

    [Fact]
    public Task An_error_without_an_error() => ReadEndsWith(
        NbdClientErrorKind.UnexpectedReply, (c, r) => c.ChunkAsync(r, NbdReplyType.Error, done: true, [.. Big(0u), 0, 0]));

    [Fact]
    public Task An_error_whose_message_is_longer_than_its_chunk() => ReadEndsWith(
        NbdClientErrorKind.BadLength, (c, r) => c.ChunkAsync(r, NbdReplyType.Error, done: true, [.. Big(5u), 0xff, 0xff]));

    [Fact]
    public Task An_error_chunk_above_the_limit() => ReadEndsWith(
        NbdClientErrorKind.BadLength, (c, r) => c.ChunkAsync(r, NbdReplyType.Error, done: true, [.. Big(5u), 0, 0], 1 << 20));

    [Fact]
    public Task Error_chunks_without_end() => ReadEndsWith(
        NbdClientErrorKind.UnexpectedReply,
        async (c, r) =>
        {
            while (true)
            {
                await c.ChunkAsync(r, NbdReplyType.Error, done: false, [.. Big(5u), 0, 0]);
            }
        });

    [Fact]
    public Task A_truncated_reply() => ReadEndsWith(
        NbdClientErrorKind.Unreachable, (c, r) => c.SendAsync(Big(NbdMagic.StructuredReply), Big((ushort)1)), hangsUp: true);

    [Fact]
    public Task Data_that_ends_in_the_middle() => ReadEndsWith(
        NbdClientErrorKind.Unreachable,
        (c, r) => c.ChunkAsync(r, NbdReplyType.OffsetData, done: true, [.. Big(r.Offset), 1, 2, 3], 8 + r.Length),
        hangsUp: true);

    [Fact]
    public Task Block_status_without_extents() => StatusEndsWith(
        NbdClientErrorKind.BadLength, (c, r) => c.ChunkAsync(r, NbdReplyType.BlockStatus, done: true, Big(7u)));

    [Fact]
    public Task Block_status_with_a_half_extent() => StatusEndsWith(
        NbdClientErrorKind.BadLength, (c, r) => c.ChunkAsync(r, NbdReplyType.BlockStatus, done: true, [.. Big(7u), .. new byte[12]]));

    [Fact]
    public Task Block_status_with_an_empty_extent() => StatusEndsWith(
        NbdClientErrorKind.BadLength, (c, r) => c.ChunkAsync(r, NbdReplyType.BlockStatus, done: true, [.. Big(7u), .. new byte[8]]));

    [Fact]
    public Task Block_status_of_a_foreign_context() => StatusEndsWith(
        NbdClientErrorKind.UnexpectedReply,
        (c, r) => c.ChunkAsync(r, NbdReplyType.BlockStatus, done: true, [.. Big(1234u), .. Big(1u), .. Big(0u)]));

    [Fact]
    public Task Block_status_of_one_context_twice() => StatusEndsWith(
        NbdClientErrorKind.UnexpectedReply,
        async (c, r) =>
        {
            await c.ChunkAsync(r, NbdReplyType.BlockStatus, done: false, [.. Big(7u), .. Big(1u), .. Big(0u)]);
            await c.ChunkAsync(r, NbdReplyType.BlockStatus, done: false, [.. Big(7u), .. Big(1u), .. Big(0u)]);
        });

    [Fact]
    public Task Block_status_of_our_context_alone_is_not_an_answer() => StatusEndsWith(
        NbdClientErrorKind.UnexpectedReply,
        (c, r) => c.ChunkAsync(r, NbdReplyType.BlockStatus, done: true, [.. Big(8u), .. Big(1u), .. Big(0u)]));

    [Fact]
    public Task Block_status_ended_by_a_simple_reply() =>
        StatusEndsWith(NbdClientErrorKind.UnexpectedReply, (c, r) => c.SimpleReplyAsync(r));

    [Fact]
    public async Task A_server_that_hangs_is_declared_lost_after_the_request_timeout()
    {
        await using ScriptedServer server = new(Export, async connection =>
        {
            await connection.ReadRequestAsync();
            await Task.Delay(Timeout.Infinite, connection.Stop);
        });
        await using NbdClientDevice client = await NbdClientDevice.ConnectAsync(
            server.Options with { RequestTimeout = TimeSpan.FromMilliseconds(60) });

        (await client.WriteAsync(0, new byte[4096])).ShouldBe(BlockStatus.IoError);

        client.LastError!.Kind.ShouldBe(NbdClientErrorKind.Timeout);
        client.State.ShouldBe(NbdClientState.Failed);
    }

    [Fact]
    public async Task A_reply_that_trickles_in_for_ever_is_declared_lost_too()
    {
        await using ScriptedServer server = new(Export, async connection =>
        {
            ScriptedRequest request = await connection.ReadRequestAsync();
            await connection.ChunkAsync(request, NbdReplyType.OffsetData, done: true, Big(request.Offset), 8 + request.Length);
            while (true)
            {
                await connection.SendAsync([1]);
                await Task.Delay(5, connection.Stop);
            }
        });
        await using NbdClientDevice client = await NbdClientDevice.ConnectAsync(
            server.Options with { RequestTimeout = TimeSpan.FromMilliseconds(100) });

        (await client.ReadAsync(0, new byte[1 << 20])).ShouldBe(BlockStatus.IoError);

        client.LastError!.Kind.ShouldBe(NbdClientErrorKind.Timeout);
    }

    [Fact]
    public async Task More_extents_than_anyone_asked_for_are_passed_over_in_bounded_memory()
    {
        const int Count = 4_000_000;
        byte[] many = new byte[8 * (Count / 100)];
        for (int i = 0; i < many.Length; i += 8)
        {
            many[i + 3] = 1;
        }

        await using ScriptedServer server = new(Export with { SizeBytes = 1 << 30 }, async connection =>
        {
            ScriptedRequest request = await connection.ReadRequestAsync();
            await connection.ChunkAsync(request, NbdReplyType.BlockStatus, done: true, Big(7u), 4 + (8ul * Count));
            for (int i = 0; i < 100; i++)
            {
                await connection.SendAsync(many);
            }
        });
        await using NbdClientDevice client = await server.ConnectAsync();
        List<BlockExtent> extents = [];

        (await client.GetExtentsAsync(new BlockRange(0, 1 << 30), extents)).ShouldBe(BlockStatus.Ok);

        extents.Count.ShouldBe(65536);
        extents[^1].ShouldBe(new BlockExtent(new BlockRange(65535, 1), ExtentKind.Data));
    }

    /// <summary>A read and, behind it, a flush and a write: all three must be answered.</summary>
    private static async Task ReadEndsWith(
        NbdClientErrorKind kind, Func<ScriptedConnection, ScriptedRequest, Task> answer, bool isAnswered = false, bool hangsUp = false)
    {
        byte[] destination = new byte[64 << 10];
        await EndsWith(kind, answer, client => client.ReadAsync(8192, destination), isAnswered, hangsUp);
    }

    private static Task StatusEndsWith(NbdClientErrorKind kind, Func<ScriptedConnection, ScriptedRequest, Task> answer) =>
        EndsWith(kind, answer, client => client.GetExtentsAsync(new BlockRange(0, 4096), []), isAnswered: false, hangsUp: false);

    private static async Task EndsWith(
        NbdClientErrorKind kind,
        Func<ScriptedConnection, ScriptedRequest, Task> answer,
        Func<NbdClientDevice, ValueTask<BlockStatus>> ask,
        bool isAnswered,
        bool hangsUp)
    {
        await using ScriptedServer server = new(Export, async connection =>
        {
            ScriptedRequest request = await connection.ReadRequestAsync();
            await answer(connection, request);
            if (!hangsUp)
            {
                await Task.Delay(Timeout.Infinite, connection.Stop);
            }
        });
        await using NbdClientDevice client = await NbdClientDevice.ConnectAsync(
            server.Options with { RequestCheckpoint = true, Reconnect = ReconnectPolicy.None });
        ValueTask<BlockStatus> asked;
        ValueTask<BlockStatus> flushed;
        ValueTask<BlockStatus> written;
        using (IoBatch.Begin())
        {
            asked = ask(client);
            flushed = client.FlushAsync();
            written = client.WriteAsync(0, new byte[200_000]);
        }

        (await asked).ShouldBe(isAnswered ? BlockStatus.Ok : BlockStatus.IoError);
        (await flushed).ShouldBe(BlockStatus.IoError);
        (await written).ShouldBe(BlockStatus.IoError);
        client.LastError!.Kind.ShouldBe(kind);
        client.State.ShouldBe(NbdClientState.Failed);
        (await client.FlushAsync()).ShouldBe(BlockStatus.IoError);
        client.Counters.InFlight.ShouldBe(0);
        server.Connections.ShouldBe(1);
    }
}
