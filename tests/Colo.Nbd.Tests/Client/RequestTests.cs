using Colo.Blocks;
using Colo.Nbd.Client;
using Colo.Nbd.Wire;
using Colo.Testing;

namespace Colo.Nbd.Tests.Client;

/// <summary>What goes out on the wire, in which order, and in how many sends.</summary>
public class RequestTests
{
    private static readonly ScriptedExport Export = new() { CheckpointId = 8 };

    [Fact]
    public async Task Changes_are_counted_by_the_time_they_took_and_nothing_else_is()
    {
        List<ScriptedRequest> seen = [];
        await using ScriptedServer server = new(Export, connection => AnswerAllAsync(connection, seen));
        await using NbdClientDevice client = await server.ConnectAsync();
        (await client.WriteAsync(0, new byte[512])).ShouldBe(BlockStatus.Ok);
        (await client.DiscardAsync(new BlockRange(512, 512))).ShouldBe(BlockStatus.Ok);
        (await client.FlushAsync()).ShouldBe(BlockStatus.Ok);
        client.ChangeLatencies.Count.ShouldBe(LatencyBuckets.Count);
        client.ChangeLatencies.Sum().ShouldBe(2);
    }

    [Theory]
    [InlineData(0, 0)]
    [InlineData(0.9, 0)]
    [InlineData(1, 1)]
    [InlineData(1.9, 1)]
    [InlineData(2, 2)]
    [InlineData(1024, 11)]
    [InlineData(1e12, LatencyBuckets.Count - 1)]
    public void A_bucket_holds_what_is_below_its_bound_and_not_below_the_former(double microseconds, int expected) =>
        LatencyBuckets.IndexOf(microseconds).ShouldBe(expected);

    [Fact]
    public async Task A_batch_leaves_in_one_send_and_in_the_order_of_the_calls()
    {
        List<ScriptedRequest> seen = [];
        await using ScriptedServer server = new(Export, connection => AnswerAllAsync(connection, seen));
        await using NbdClientDevice client = await NbdClientDevice.ConnectAsync(server.Options with { RequestCheckpoint = true });
        List<ValueTask<BlockStatus>> answers = [];
        using (IoBatch.Begin())
        {
            answers.Add(client.WriteAsync(0, new byte[4096], RequestFlags.ForceUnitAccess));
            answers.Add(client.CheckpointAsync(42));
            answers.Add(client.WriteAsync(0, new byte[512]));
            answers.Add(client.DiscardAsync(new BlockRange(512, 512)));
            answers.Add(client.CacheAsync(new BlockRange(0, 512)));
            answers.Add(client.FlushAsync());
            client.Counters.Sends.ShouldBe(0);
        }

        client.Counters.Sends.ShouldBe(1);
        foreach (ValueTask<BlockStatus> answer in answers)
        {
            (await answer).ShouldBe(BlockStatus.Ok);
        }

        seen.Select(r => (r.Command, r.Flags, r.Offset, r.Length)).ShouldBe(
        [
            (NbdCommand.Write, NbdCommandFlags.Fua, 0ul, 4096ul),
            (NbdCommand.ColoCheckpoint, NbdCommandFlags.None, 42ul, 0ul),
            (NbdCommand.Write, NbdCommandFlags.None, 0ul, 512ul),
            (NbdCommand.Trim, NbdCommandFlags.None, 512ul, 512ul),
            (NbdCommand.Cache, NbdCommandFlags.None, 0ul, 512ul),
            (NbdCommand.Flush, NbdCommandFlags.None, 0ul, 0ul),
        ]);
    }

    [Theory]
    [InlineData(RequestFlags.None, NbdCommandFlags.NoHole)]
    [InlineData(RequestFlags.MayUnmap, NbdCommandFlags.None)]
    [InlineData(RequestFlags.MayUnmap | RequestFlags.FastOnly, NbdCommandFlags.FastZero)]
    [InlineData(RequestFlags.FastOnly | RequestFlags.ForceUnitAccess, NbdCommandFlags.NoHole | NbdCommandFlags.FastZero | NbdCommandFlags.Fua)]
    public async Task Write_zeroes_says_on_the_wire_what_its_flags_mean(RequestFlags flags, NbdCommandFlags wire)
    {
        List<ScriptedRequest> seen = [];
        await using ScriptedServer server = new(Export, connection => AnswerAllAsync(connection, seen));
        await using NbdClientDevice client = await server.ConnectAsync();

        (await client.WriteZeroesAsync(new BlockRange(4096, 8192), flags)).ShouldBe(BlockStatus.Ok);

        seen.ShouldHaveSingleItem().Flags.ShouldBe(wire);
    }

    [Fact]
    public async Task What_the_server_lacks_is_emulated_or_refused()
    {
        List<ScriptedRequest> seen = [];
        NbdTransmissionFlags flags = NbdTransmissionFlags.HasFlags | NbdTransmissionFlags.SendFlush;
        await using ScriptedServer server = new(Export with { Flags = flags }, connection => AnswerAllAsync(connection, seen));
        await using NbdClientDevice client = await server.ConnectAsync();

        (await client.WriteAsync(0, new byte[512], RequestFlags.ForceUnitAccess)).ShouldBe(BlockStatus.Ok);
        (await client.WriteZeroesAsync(new BlockRange(512, 512), RequestFlags.MayUnmap)).ShouldBe(BlockStatus.Ok);
        (await client.WriteZeroesAsync(new BlockRange(512, 512), RequestFlags.FastOnly)).ShouldBe(BlockStatus.NotSupported);
        (await client.DiscardAsync(new BlockRange(0, 512))).ShouldBe(BlockStatus.Ok);
        (await client.CacheAsync(new BlockRange(0, 512))).ShouldBe(BlockStatus.NotSupported);
        (await client.CheckpointAsync(1)).ShouldBe(BlockStatus.NotSupported);

        seen.Select(r => (r.Command, r.Flags, r.Offset)).ShouldBe(
        [
            (NbdCommand.Write, NbdCommandFlags.None, 0ul),
            (NbdCommand.Flush, NbdCommandFlags.None, 0ul),
            (NbdCommand.Write, NbdCommandFlags.None, 512ul),
        ]);
        seen[2].Payload.ShouldBe(new byte[512]);
    }

    [Fact]
    public async Task A_request_outside_the_disk_or_its_blocks_never_reaches_the_wire()
    {
        await using ScriptedServer server = new(Export with { BlockSizes = (512, 4096, 1 << 20) }, c => AnswerAllAsync(c, []));
        await using NbdClientDevice client = await server.ConnectAsync();
        long end = client.LengthBytes;

        (await client.WriteAsync(end - 512, new byte[1024])).ShouldBe(BlockStatus.NoSpace);
        (await client.WriteZeroesAsync(new BlockRange(long.MaxValue - 512, 512))).ShouldBe(BlockStatus.NoSpace);
        (await client.ReadAsync(end, new byte[512])).ShouldBe(BlockStatus.InvalidArgument);
        (await client.ReadAsync(-512, new byte[512])).ShouldBe(BlockStatus.InvalidArgument);
        (await client.DiscardAsync(new BlockRange(end, 512))).ShouldBe(BlockStatus.InvalidArgument);
        (await client.GetExtentsAsync(new BlockRange(end, 512), [])).ShouldBe(BlockStatus.InvalidArgument);
        (await client.WriteAsync(1, new byte[512])).ShouldBe(BlockStatus.InvalidArgument);
        (await client.WriteAsync(0, new byte[511])).ShouldBe(BlockStatus.InvalidArgument);
        (await client.ReadAsync(0, new byte[1])).ShouldBe(BlockStatus.InvalidArgument);
        (await client.WriteAsync(0, default)).ShouldBe(BlockStatus.Ok);
        client.Counters.Requests.ShouldBe(0);
    }

    [Fact]
    public async Task A_read_only_export_refuses_every_change()
    {
        NbdTransmissionFlags flags = ScriptedExport.AllFlags | NbdTransmissionFlags.ReadOnly;
        await using ScriptedServer server = new(Export with { Flags = flags }, c => AnswerAllAsync(c, []));
        await using NbdClientDevice client = await server.ConnectAsync();

        (await client.WriteAsync(0, new byte[1])).ShouldBe(BlockStatus.NotPermitted);
        (await client.WriteZeroesAsync(new BlockRange(0, 1))).ShouldBe(BlockStatus.NotPermitted);
        (await client.DiscardAsync(new BlockRange(0, 1))).ShouldBe(BlockStatus.NotPermitted);
        client.Counters.Requests.ShouldBe(0);
    }

    [Fact]
    public async Task Large_payloads_are_split_at_the_servers_maximum()
    {
        List<ScriptedRequest> seen = [];
        await using ScriptedServer server = new(Export with { BlockSizes = (512, 4096, 64 << 10) }, c => AnswerAllAsync(c, seen));
        await using NbdClientDevice client = await server.ConnectAsync();
        byte[] written = new byte[(150 << 10) + 512];
        Random.Shared.NextBytes(written);
        byte[] read = new byte[written.Length];

        (await client.WriteAsync(1024, written)).ShouldBe(BlockStatus.Ok);
        (await client.ReadAsync(512, read)).ShouldBe(BlockStatus.Ok);

        seen.Where(r => r.Command == NbdCommand.Write).SelectMany(r => r.Payload).ShouldBe(written);
        seen.Select(r => (r.Offset, r.Length)).ShouldBe(
        [
            (1024ul, 65536ul), (66560ul, 65536ul), (132096ul, 23040ul),
            (512ul, 65536ul), (66048ul, 65536ul), (131584ul, 23040ul),
        ]);
        read.ShouldAllBe(b => b == 0xab);
    }

    [Theory]
    [InlineData(false, 5)]
    [InlineData(true, 1)]
    public async Task Huge_zeroes_are_split_only_where_lengths_have_32_bits(bool extended, int requests)
    {
        List<ScriptedRequest> seen = [];
        ScriptedExport export = Export with { SizeBytes = 1ul << 40, Extended = extended };
        await using ScriptedServer server = new(export, c => AnswerAllAsync(c, seen));
        await using NbdClientDevice client = await server.ConnectAsync();

        (await client.WriteZeroesAsync(new BlockRange(4096, (4L << 30) + 1))).ShouldBe(BlockStatus.Ok);

        seen.Count.ShouldBe(requests);
        seen.Sum(r => (long)r.Length).ShouldBe((4L << 30) + 1);
    }

    [Fact]
    public async Task With_extended_headers_a_write_announces_its_payload()
    {
        List<ScriptedRequest> seen = [];
        await using ScriptedServer server = new(Export with { Extended = true }, c => AnswerAllAsync(c, seen));
        await using NbdClientDevice client = await server.ConnectAsync();

        (await client.WriteAsync(0, new byte[512])).ShouldBe(BlockStatus.Ok);
        (await client.ReadAsync(0, new byte[512])).ShouldBe(BlockStatus.Ok);

        seen.Select(r => r.Flags).ShouldBe([NbdCommandFlags.PayloadLength, NbdCommandFlags.None]);
    }

    [Fact]
    public async Task More_requests_than_places_wait_in_order_without_blocking_their_caller()
    {
        List<ScriptedRequest> seen = [];
        TaskCompletionSource open = new();
        await using ScriptedServer server = new(Export, async connection =>
        {
            await open.Task;
            await AnswerAllAsync(connection, seen);
        });
        await using NbdClientDevice client = await NbdClientDevice.ConnectAsync(
            server.Options with { MaxInFlight = 4, MaxWaiting = 20 });
        List<ValueTask<BlockStatus>> answers = [];
        for (int i = 0; i < 24; i++)
        {
            answers.Add(client.WriteAsync(i, new byte[] { (byte)i }));
        }

        (client.Counters.InFlight, client.Counters.Waiting).ShouldBe((4, 20));
        client.Counters.OldestInFlight.ShouldBeGreaterThan(TimeSpan.Zero);
        (await client.WriteAsync(0, new byte[1])).ShouldBe(BlockStatus.OutOfMemory);
        open.SetResult();
        foreach (ValueTask<BlockStatus> answer in answers)
        {
            (await answer).ShouldBe(BlockStatus.Ok);
        }

        seen.Select(r => (int)r.Offset).ShouldBe(Enumerable.Range(0, 24));
        (client.Counters.InFlight, client.Counters.Waiting).ShouldBe((0, 0));
    }

    [Fact]
    public async Task A_peer_that_does_not_read_blocks_no_caller_and_gets_everything_in_order_later()
    {
        List<ScriptedRequest> seen = [];
        TaskCompletionSource open = new();
        await using ScriptedServer server = new(Export with { SizeBytes = 1 << 30 }, async connection =>
        {
            await open.Task;
            await AnswerAllAsync(connection, seen);
        });
        await using NbdClientDevice client = await server.ConnectAsync();
        byte[][] payloads = [.. Enumerable.Range(0, 40).Select(i => new byte[i % 2 == 0 ? 1 << 20 : 1000])];
        List<ValueTask<BlockStatus>> answers = [];
        for (int i = 0; i < payloads.Length; i++)
        {
            Random.Shared.NextBytes(payloads[i]);
            answers.Add(client.WriteAsync((long)i << 20, payloads[i]));
        }

        client.Counters.InFlight.ShouldBe(40);
        open.SetResult();
        foreach (ValueTask<BlockStatus> answer in answers)
        {
            (await answer).ShouldBe(BlockStatus.Ok);
        }

        seen.Select(r => (int)(r.Offset >> 20)).ShouldBe(Enumerable.Range(0, 40));
        for (int i = 0; i < payloads.Length; i++)
        {
            seen[i].Payload.AsSpan().SequenceEqual(payloads[i]).ShouldBeTrue($"payload {i}");
        }
    }

    [Fact]
    public async Task An_answer_that_overtakes_its_payload_waits_until_the_payload_has_left()
    {
        TaskCompletionSource answered = new();
        TaskCompletionSource open = new();
        await using ScriptedServer server = new(Export with { SizeBytes = 1 << 30 }, async connection =>
        {
            byte[] header = await connection.ReceiveAsync(28);
            byte[] cookie = header[8..16];
            await connection.SendAsync(ScriptedConnection.Big(NbdMagic.SimpleReply), ScriptedConnection.Big(28u), cookie);
            ScriptedRequest flush = await FlushBehindAsync(connection);
            await connection.SimpleReplyAsync(flush);

            async Task<ScriptedRequest> FlushBehindAsync(ScriptedConnection c)
            {
                answered.SetResult();
                await open.Task;
                await c.ReceiveAsync(8 << 20);
                return await c.ReadRequestAsync();
            }
        });
        await using NbdClientDevice client = await server.ConnectAsync();

        Task<BlockStatus> write = client.WriteAsync(0, new byte[8 << 20]).AsTask();
        await answered.Task;
        await Eventually.TrueAsync(() => client.Counters.InFlight == 0, "the early reply is taken");
        write.IsCompleted.ShouldBeFalse();
        open.SetResult();

        (await write).ShouldBe(BlockStatus.NoSpace);
        (await client.FlushAsync()).ShouldBe(BlockStatus.Ok);
    }

    [Fact]
    public async Task Disposing_says_DISC_and_answers_what_is_pending_with_Shutdown()
    {
        List<ScriptedRequest> seen = [];
        await using ScriptedServer server = new(Export, async connection =>
        {
            for (int i = 0; i < 2; i++)
            {
                lock (seen)
                {
                    seen.Add(connection.ReadRequestAsync().GetAwaiter().GetResult());
                }
            }

            await Task.Delay(Timeout.Infinite, connection.Stop);
        });
        NbdClientDevice client = await server.ConnectAsync();
        List<NbdClientState> states = [];
        client.StateChanged += (_, change) => states.Add(change.To);
        ValueTask<BlockStatus> write = client.WriteAsync(0, new byte[1]);

        await client.DisposeAsync();

        (await write).ShouldBe(BlockStatus.Shutdown);
        (await client.FlushAsync()).ShouldBe(BlockStatus.Shutdown);
        client.State.ShouldBe(NbdClientState.Closed);
        states.ShouldBe([NbdClientState.Closed]);
        await Eventually.TrueAsync(() => seen.Count == 2, "DISC arrives");
        seen[1].Command.ShouldBe(NbdCommand.Disconnect);
        await client.DisposeAsync();
    }

    [Fact]
    public async Task In_steady_state_a_request_allocates_nothing()
    {
        await using ScriptedServer server = new(Export, EchoRepliesAsync);
        await using NbdClientDevice client = await server.ConnectAsync();
        await MeasureAsync(client, requests: 2_000);

        (long callerBytes, long receiverBytes) = await MeasureAsync(client, requests: 10_000);

        // One small object a request would be 240 KB and more; the bound leaves room for the runtime's own few.
        callerBytes.ShouldBeLessThan(20_000);
        receiverBytes.ShouldBeLessThan(20_000);
    }

    /// <summary>Bytes that the submitting thread and the receive thread allocate.</summary>
    private static async Task<(long Caller, long Receiver)> MeasureAsync(NbdClientDevice client, int requests)
    {
        // The receive thread's bytes are counted on it: a continuation runs there, unless its answer was too quick.
        await HopToReceiveThreadAsync(client).ConfigureAwait(false);
        long before = GC.GetAllocatedBytesForCurrentThread();
        long caller = await Task.Factory.StartNew(() => WriteAll(client, requests), TaskCreationOptions.LongRunning).ConfigureAwait(false);
        await HopToReceiveThreadAsync(client).ConfigureAwait(false);
        long receiver = GC.GetAllocatedBytesForCurrentThread() - before;
        await Task.Yield();
        return (caller, receiver);
    }

    private static async Task HopToReceiveThreadAsync(NbdClientDevice client)
    {
        while (Thread.CurrentThread.Name?.StartsWith("nbd-client", StringComparison.Ordinal) != true)
        {
            await client.FlushAsync().ConfigureAwait(false);
        }
    }

    private static long WriteAll(NbdClientDevice client, int requests)
    {
        byte[] payload = new byte[64];
        ValueTask<BlockStatus>[] answers = new ValueTask<BlockStatus>[50];
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < requests / answers.Length; i++)
        {
            using (IoBatch.Begin())
            {
                for (int j = 0; j < answers.Length; j++)
                {
                    answers[j] = client.WriteAsync(j, payload);
                }
            }

            foreach (ValueTask<BlockStatus> answer in answers)
            {
                SpinWait spin = default;
                while (!answer.IsCompleted)
                {
                    spin.SpinOnce();
                }

                if (answer.Result != BlockStatus.Ok)
                {
                    throw new InvalidOperationException("a write failed");
                }
            }
        }

        return GC.GetAllocatedBytesForCurrentThread() - before;
    }

    private static async Task AnswerAllAsync(ScriptedConnection connection, List<ScriptedRequest> seen)
    {
        while (true)
        {
            ScriptedRequest request = await connection.ReadRequestAsync();
            if (request.Command == NbdCommand.Disconnect)
            {
                return;
            }

            seen.Add(request);
            if (request.Command == NbdCommand.Read)
            {
                byte[] data = new byte[request.Length];
                data.AsSpan().Fill(0xab);
                await connection.DataAsync(request, request.Offset, data, done: true);
            }
            else
            {
                await connection.AcceptAsync(request);
            }
        }
    }

    private static async Task EchoRepliesAsync(ScriptedConnection connection)
    {
        while (true)
        {
            ScriptedRequest request = await connection.ReadRequestAsync();
            await connection.SimpleReplyAsync(request);
        }
    }
}
