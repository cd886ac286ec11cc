using Colo.Blocks;
using Colo.Nbd.Client;
using Colo.Nbd.Wire;
using Colo.Testing;

namespace Colo.Nbd.Tests.Client;

public class ReconnectTests
{
    private static readonly ScriptedExport Export = new();

    private static readonly ReconnectPolicy Eager = new()
    {
        MaxAttempts = 5,
        InitialDelay = TimeSpan.FromMilliseconds(1),
        MaxDelay = TimeSpan.FromMilliseconds(5),
    };

    [Fact]
    public async Task Requests_without_an_answer_are_sent_again_in_their_old_order()
    {
        List<ScriptedRequest> again = [];
        await using ScriptedServer server = new(async (connection, number) =>
        {
            await connection.HandshakeAsync(Export);
            if (number == 0)
            {
                for (int i = 0; i < 6; i++)
                {
                    ScriptedRequest request = await connection.ReadRequestAsync();
                    if (i is 1 or 2)
                    {
                        await connection.SimpleReplyAsync(request);
                    }
                }

                return;
            }

            while (true)
            {
                ScriptedRequest request = await connection.ReadRequestAsync();
                lock (again)
                {
                    again.Add(request);
                }

                await connection.SimpleReplyAsync(request);
            }
        });
        await using NbdClientDevice client = await ConnectAsync(server);
        List<NbdClientState> states = [];
        client.StateChanged += (_, change) => states.Add(change.To);
        List<ValueTask<BlockStatus>> answers = [];
        using (IoBatch.Begin())
        {
            for (int i = 0; i < 8; i++)
            {
                // Every second one is sent in place.
                answers.Add(client.WriteAsync(i, new byte[i % 2 == 0 ? 100 : 100_000]));
            }
        }

        foreach (ValueTask<BlockStatus> answer in answers)
        {
            (await answer).ShouldBe(BlockStatus.Ok);
        }

        again.Select(r => (int)r.Offset).ShouldBe([0, 3, 4, 5, 6, 7]);
        states.ShouldBe([NbdClientState.Reconnecting, NbdClientState.Connected]);
        client.Counters.Reconnects.ShouldBe(1);
        client.LastError!.Kind.ShouldBe(NbdClientErrorKind.Unreachable);
    }

    [Fact]
    public async Task A_flush_sent_again_waits_for_the_writes_sent_again()
    {
        List<NbdCommand> order = [];
        await using ScriptedServer server = new(async (connection, number) =>
        {
            await connection.HandshakeAsync(Export);
            ScriptedRequest first = await connection.ReadRequestAsync();
            ScriptedRequest second = await connection.ReadRequestAsync();
            if (number == 0)
            {
                return;
            }

            (first.Command, second.Command).ShouldBe((NbdCommand.Write, NbdCommand.Write));
            Task<ScriptedRequest> third = connection.ReadRequestAsync();
            await connection.SimpleReplyAsync(second);
            await Task.Delay(50, connection.Stop);
            third.IsCompleted.ShouldBeFalse();
            await connection.SimpleReplyAsync(first);
            order.Add((await third).Command);
            await connection.SimpleReplyAsync(await third);
            ScriptedRequest fourth = await connection.ReadRequestAsync();
            order.Add(fourth.Command);
            await connection.SimpleReplyAsync(fourth);
        });
        await using NbdClientDevice client = await ConnectAsync(server);
        List<ValueTask<BlockStatus>> answers = [];
        using (IoBatch.Begin())
        {
            answers.Add(client.WriteAsync(0, new byte[1]));
            answers.Add(client.WriteAsync(1, new byte[1]));
            answers.Add(client.FlushAsync());
            answers.Add(client.WriteAsync(2, new byte[1]));
        }

        foreach (ValueTask<BlockStatus> answer in answers)
        {
            (await answer).ShouldBe(BlockStatus.Ok);
        }

        order.ShouldBe([NbdCommand.Flush, NbdCommand.Write]);
    }

    [Fact]
    public async Task A_read_that_was_cut_in_the_middle_is_read_anew()
    {
        await using ScriptedServer server = new(async (connection, number) =>
        {
            await connection.HandshakeAsync(Export);
            ScriptedRequest request = await connection.ReadRequestAsync();
            if (number == 0)
            {
                await connection.DataAsync(request, 0, [1, 1, 1]);
                return;
            }

            await connection.DataAsync(request, 0, [2, 2, 2, 2], done: true);
        });
        await using NbdClientDevice client = await ConnectAsync(server);
        byte[] read = new byte[4];

        (await client.ReadAsync(0, read)).ShouldBe(BlockStatus.Ok);

        read.ShouldBe([2, 2, 2, 2]);
    }

    [Fact]
    public async Task Extents_that_were_cut_in_the_middle_are_not_told_twice()
    {
        byte[] one = [.. ScriptedConnection.Big(7u), .. ScriptedConnection.Big(4096u), .. ScriptedConnection.Big(0u)];
        await using ScriptedServer server = new(async (connection, number) =>
        {
            await connection.HandshakeAsync(Export);
            await connection.ChunkAsync(await connection.ReadRequestAsync(), NbdReplyType.BlockStatus, done: number == 1, one);
        });
        await using NbdClientDevice client = await ConnectAsync(server);
        List<BlockExtent> extents = [];

        (await client.GetExtentsAsync(new BlockRange(0, 8192), extents)).ShouldBe(BlockStatus.Ok);

        extents.ShouldHaveSingleItem();
    }

    [Theory]
    [InlineData(2ul << 20, ScriptedExport.AllFlags)]
    [InlineData(1ul << 20, ScriptedExport.AllFlags | NbdTransmissionFlags.ReadOnly)]
    public async Task Another_disk_behind_the_same_name_is_refused(ulong size, NbdTransmissionFlags flags)
    {
        await using ScriptedServer server = new(async (connection, number) =>
        {
            await connection.HandshakeAsync(number == 0 ? Export : Export with { SizeBytes = size, Flags = flags });
            await connection.ReadRequestAsync();
        });
        await using NbdClientDevice client = await ConnectAsync(server);

        (await client.WriteAsync(0, new byte[1])).ShouldBe(BlockStatus.IoError);

        client.State.ShouldBe(NbdClientState.Failed);
        client.LastError!.Kind.ShouldBe(NbdClientErrorKind.ExportChanged);
    }

    [Fact]
    public async Task A_server_that_drops_us_again_and_again_is_given_up()
    {
        await using ScriptedServer server = new(async (connection, _) =>
        {
            await connection.HandshakeAsync(Export);
            await connection.ReadRequestAsync();
        });
        await using NbdClientDevice client = await ConnectAsync(server);

        (await client.WriteAsync(0, new byte[1])).ShouldBe(BlockStatus.IoError);

        client.State.ShouldBe(NbdClientState.Failed);
        server.Connections.ShouldBe(1 + Eager.MaxAttempts);
    }

    [Fact]
    public async Task A_server_that_breaks_the_protocol_is_not_tried_again()
    {
        await using ScriptedServer server = new(async (connection, _) =>
        {
            await connection.HandshakeAsync(Export);
            await connection.ReadRequestAsync();
            await connection.SendAsync(new byte[64]);
            await Task.Delay(Timeout.Infinite, connection.Stop);
        });
        await using NbdClientDevice client = await ConnectAsync(server);

        (await client.WriteAsync(0, new byte[1])).ShouldBe(BlockStatus.IoError);

        server.Connections.ShouldBe(1);
    }

    [Fact]
    public async Task A_hung_connection_is_replaced()
    {
        await using ScriptedServer server = new(async (connection, number) =>
        {
            await connection.HandshakeAsync(Export);
            ScriptedRequest request = await connection.ReadRequestAsync();
            if (number > 0)
            {
                await connection.SimpleReplyAsync(request);
            }

            await Task.Delay(Timeout.Infinite, connection.Stop);
        });
        await using NbdClientDevice client = await NbdClientDevice.ConnectAsync(
            server.Options with { Reconnect = Eager, RequestTimeout = TimeSpan.FromMilliseconds(60) });

        (await client.WriteAsync(0, new byte[1])).ShouldBe(BlockStatus.Ok);

        client.LastError!.Kind.ShouldBe(NbdClientErrorKind.Timeout);
        client.Counters.Reconnects.ShouldBe(1);
    }

    [Fact]
    public async Task A_checkpoint_is_never_sent_twice()
    {
        ScriptedExport export = Export with { CheckpointId = 3 };
        List<NbdCommand> again = [];
        await using ScriptedServer server = new(async (connection, number) =>
        {
            await connection.HandshakeAsync(export);
            ScriptedRequest first = await connection.ReadRequestAsync();
            if (number == 0)
            {
                await connection.ReadRequestAsync();
                return;
            }

            again.Add(first.Command);
            await connection.SimpleReplyAsync(first);
        });
        await using NbdClientDevice client = await NbdClientDevice.ConnectAsync(
            server.Options with { Reconnect = Eager, RequestCheckpoint = true });
        ValueTask<BlockStatus> checkpoint;
        ValueTask<BlockStatus> write;
        using (IoBatch.Begin())
        {
            checkpoint = client.CheckpointAsync(5);
            write = client.WriteAsync(0, new byte[1]);
        }

        (await checkpoint).ShouldBe(BlockStatus.IoError);
        (await write).ShouldBe(BlockStatus.Ok);
        again.ShouldBe([NbdCommand.Write]);
    }

    [Fact]
    public async Task While_reconnecting_requests_wait_and_disposing_answers_them()
    {
        await using ScriptedServer server = new(async (connection, number) =>
        {
            if (number == 0)
            {
                await connection.HandshakeAsync(Export);
                await connection.ReadRequestAsync();
                return;
            }

            await Task.Delay(Timeout.Infinite, connection.Stop);
        });
        NbdClientDevice client = await ConnectAsync(server);
        ValueTask<BlockStatus> lost = client.WriteAsync(0, new byte[1]);
        await Eventually.TrueAsync(() => client.State == NbdClientState.Reconnecting, "the loss is seen");
        ValueTask<BlockStatus> later = client.WriteAsync(1, new byte[1]);
        client.Counters.Waiting.ShouldBe(2);

        await client.DisposeAsync();

        (await lost).ShouldBe(BlockStatus.Shutdown);
        (await later).ShouldBe(BlockStatus.Shutdown);
        client.State.ShouldBe(NbdClientState.Closed);
    }

    private static Task<NbdClientDevice> ConnectAsync(ScriptedServer server) =>
        NbdClientDevice.ConnectAsync(server.Options with { Reconnect = Eager });
}
