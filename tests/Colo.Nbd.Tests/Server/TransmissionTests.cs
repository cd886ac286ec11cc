using Colo.Blocks;
using Colo.Nbd.Server;
using Colo.Nbd.Wire;
using Colo.Testing;

namespace Colo.Nbd.Tests.Server;

public sealed class TransmissionTests
{
    private const int Size = 1 << 20;
    private const uint Eperm = 1;
    private const uint Eio = 5;
    private const uint Einval = 22;
    private const uint Enospc = 28;
    private const uint Enotsup = 95;

    public static TheoryData<string> Framings() => new("simple", "structured", "extended");

    [Theory]
    [MemberData(nameof(Framings))]
    public async Task What_is_written_is_read_back(string framing)
    {
        await using ServerFixture server = await ServerFixture.StartAsync(new MemoryDisk(8 << 20));
        RawClient client = Open(server, framing);
        foreach (int length in (int[])[1, 511, 4096, 70_000, (1 << 20) + 1, 5_000_001])
        {
            byte[] data = Bytes.Pattern(length, length);
            client.Error(NbdCommand.Write, 3, (ulong)length, PayloadFlag(client), data).ShouldBe(0u);
            client.ReadDisk(3, length).ShouldBe(data);
        }
    }

    [Theory]
    [MemberData(nameof(Framings))]
    public async Task Requests_of_no_length_change_nothing_and_are_answered(string framing)
    {
        RecordingDisk disk = new(Size);
        await using ServerFixture server = await ServerFixture.StartAsync(disk);
        RawClient client = Open(server, framing);
        client.Error(NbdCommand.Read, 0, 0).ShouldBe(0u);
        client.Error(NbdCommand.Write, 0, 0, PayloadFlag(client)).ShouldBe(0u);
        client.Error(NbdCommand.Trim, Size, 0).ShouldBe(0u);
        client.Error(NbdCommand.WriteZeroes, 0, 0).ShouldBe(0u);
        disk.Calls.ShouldBeEmpty();
    }

    [Theory]
    [MemberData(nameof(Framings))]
    public async Task Past_the_end_writing_has_no_space_and_the_rest_is_invalid(string framing)
    {
        RecordingDisk disk = new(Size);
        await using ServerFixture server = await ServerFixture.StartAsync(disk);
        RawClient client = Open(server, framing);
        client.Error(NbdCommand.Write, Size - 1, 2, PayloadFlag(client), [1, 2]).ShouldBe(Enospc);
        client.Error(NbdCommand.WriteZeroes, Size, 1).ShouldBe(Enospc);
        client.Error(NbdCommand.Read, Size - 1, 2).ShouldBe(Einval);
        client.Error(NbdCommand.Trim, Size - 1, 2).ShouldBe(Einval);
        client.Error(NbdCommand.Cache, Size + 1ul, 1).ShouldBe(Einval);
        client.Error(NbdCommand.Read, ulong.MaxValue, 2).ShouldBe(Einval);
        client.Error(NbdCommand.Write, ulong.MaxValue - 1, 4, PayloadFlag(client), new byte[4]).ShouldBe(Enospc);
        disk.Calls.ShouldBeEmpty();
        client.ReadDisk(0, 512).Length.ShouldBe(512);
    }

    [Fact]
    public async Task An_unaligned_request_is_invalid()
    {
        MemoryDisk disk = new(Size) { Capabilities = new(MinimumBlockBytes: 512) };
        await using ServerFixture server = await ServerFixture.StartAsync(disk);
        RawClient client = server.Open();
        client.Error(NbdCommand.Read, 1, 512).ShouldBe(Einval);
        client.Error(NbdCommand.Write, 512, 511, payload: new byte[511]).ShouldBe(Einval);
        client.Error(NbdCommand.WriteZeroes, 512, 1).ShouldBe(Einval);
        client.ReadDisk(512, 512).Length.ShouldBe(512);
    }

    [Fact]
    public async Task A_read_only_export_refuses_every_write_and_drains_its_payload()
    {
        RecordingDisk disk = new(Size);
        await using ServerFixture server = await ServerFixture.StartAsync(new NbdExport(string.Empty, disk) { IsReadOnly = true });
        RawClient client = server.Open();
        client.Error(NbdCommand.Write, 0, 600_000, payload: Bytes.Pattern(600_000)).ShouldBe(Eperm);
        client.Error(NbdCommand.WriteZeroes, 0, 512).ShouldBe(Eperm);
        client.Error(NbdCommand.Trim, 0, 512).ShouldBe(Eperm);
        disk.Calls.ShouldBeEmpty();
        client.ReadDisk(0, 512).ShouldAllBe(value => value == 0);
    }

    [Fact]
    public async Task A_write_above_the_largest_payload_is_drained_and_refused()
    {
        RecordingDisk disk = new(Size);
        await using ServerFixture server = await ServerFixture.StartAsync(disk);
        RawClient client = server.Open();
        client.Error(NbdCommand.Write, 0, NbdLimits.MaxPayloadBytes + 1, payload: new byte[NbdLimits.MaxPayloadBytes + 1]).ShouldBe(Einval);
        client.Error(NbdCommand.Read, 0, NbdLimits.MaxPayloadBytes + 1).ShouldBe(Einval);
        client.ReadDisk(0, 512).Length.ShouldBe(512);
        disk.Calls.Count.ShouldBe(1);
    }

    [Fact]
    public async Task The_largest_payload_passes_both_ways()
    {
        await using ServerFixture server = await ServerFixture.StartAsync(new MemoryDisk(NbdLimits.MaxPayloadBytes));
        RawClient client = server.Open(structured: true);
        byte[] data = Bytes.Pattern(NbdLimits.MaxPayloadBytes);
        client.Error(NbdCommand.Write, 0, NbdLimits.MaxPayloadBytes, payload: data).ShouldBe(0u);
        client.ReadDisk(0, NbdLimits.MaxPayloadBytes).AsSpan().SequenceEqual(data).ShouldBeTrue();
    }

    [Fact]
    public async Task Huge_trims_and_zeroes_reach_the_device_whole()
    {
        VoidDisk disk = new(1L << 50);
        await using ServerFixture server = await ServerFixture.StartAsync(disk);
        RawClient compact = server.Open();
        compact.Error(NbdCommand.Trim, 512, 0xFFFF_FE00).ShouldBe(0u);
        compact.Error(NbdCommand.WriteZeroes, 512, 0xFFFF_FE00).ShouldBe(0u);
        RawClient extended = server.Open(extended: true);
        extended.Error(NbdCommand.Trim, 0, 1ul << 50).ShouldBe(0u);
        extended.Error(NbdCommand.WriteZeroes, 0, 1ul << 50).ShouldBe(0u);
        disk.Calls.Select(call => (call.Operation, call.Length)).ShouldBe(
            [("discard", 0xFFFF_FE00), ("zero", 0xFFFF_FE00), ("discard", 1L << 50), ("zero", 1L << 50)]);
    }

    [Theory]
    [MemberData(nameof(Framings))]
    public async Task An_unknown_command_is_invalid_and_the_connection_lives_on(string framing)
    {
        await using ServerFixture server = await ServerFixture.StartAsync(new MemoryDisk(Size));
        RawClient client = Open(server, framing);
        client.Error((NbdCommand)4242, 0, 512).ShouldBe(Einval);
        client.Error(NbdCommand.Resize, 0, 512).ShouldBe(Einval);
        client.Error(NbdCommand.ColoCheckpoint, 1, 0).ShouldBe(Einval);
        client.ReadDisk(0, 512).Length.ShouldBe(512);
    }

    [Theory]
    [InlineData(NbdCommand.Read, NbdCommandFlags.Df)]
    [InlineData(NbdCommand.Read, NbdCommandFlags.NoHole)]
    [InlineData(NbdCommand.Write, NbdCommandFlags.FastZero)]
    [InlineData(NbdCommand.Write, NbdCommandFlags.PayloadLength)]
    [InlineData(NbdCommand.Trim, NbdCommandFlags.NoHole)]
    [InlineData(NbdCommand.Flush, NbdCommandFlags.ReqOne)]
    [InlineData(NbdCommand.WriteZeroes, (NbdCommandFlags)0x8000)]
    public async Task A_flag_that_a_command_does_not_take_is_invalid_and_the_connection_lives_on(NbdCommand command, NbdCommandFlags flags)
    {
        RecordingDisk disk = new(Size);
        await using ServerFixture server = await ServerFixture.StartAsync(disk);
        RawClient client = server.Open();
        ulong length = command == NbdCommand.Flush ? 0ul : 512;
        client.Error(command, 0, length, flags, command == NbdCommand.Write ? new byte[512] : null).ShouldBe(Einval);
        disk.Calls.ShouldBeEmpty();
        client.ReadDisk(0, 512).Length.ShouldBe(512);
    }

    [Fact]
    public async Task Fua_is_accepted_on_every_command_and_reaches_the_writing_ones()
    {
        RecordingDisk disk = new(Size);
        await using ServerFixture server = await ServerFixture.StartAsync(disk);
        RawClient client = server.Open(structured: true, contexts: "base:allocation");
        client.Error(NbdCommand.Write, 0, 512, NbdCommandFlags.Fua, new byte[512]).ShouldBe(0u);
        client.Error(NbdCommand.Trim, 0, 512, NbdCommandFlags.Fua).ShouldBe(0u);
        client.Error(NbdCommand.WriteZeroes, 0, 512, NbdCommandFlags.Fua | NbdCommandFlags.NoHole).ShouldBe(0u);
        client.Error(NbdCommand.Flush, 0, 0, NbdCommandFlags.Fua).ShouldBe(0u);
        client.ReadDisk(0, 512, NbdCommandFlags.Fua | NbdCommandFlags.Df).Length.ShouldBe(512);
        client.Error(NbdCommand.Cache, 0, 512, NbdCommandFlags.Fua).ShouldBe(0u);
        client.Error(NbdCommand.BlockStatus, 0, 512, NbdCommandFlags.Fua).ShouldBe(0u);
        disk.Calls.Take(3).ShouldAllBe(call => call.Flags.HasFlag(RequestFlags.ForceUnitAccess));
        disk.Calls.Any(call => string.Equals(call.Operation, "flush", StringComparison.Ordinal)).ShouldBeTrue();
    }

    [Fact]
    public async Task No_hole_keeps_the_device_from_unmapping()
    {
        RecordingDisk disk = new(Size);
        await using ServerFixture server = await ServerFixture.StartAsync(disk);
        RawClient client = server.Open();
        client.Error(NbdCommand.WriteZeroes, 0, 512).ShouldBe(0u);
        client.Error(NbdCommand.WriteZeroes, 0, 512, NbdCommandFlags.NoHole).ShouldBe(0u);
        client.Error(NbdCommand.WriteZeroes, 0, 512, NbdCommandFlags.FastZero).ShouldBe(0u);
        disk.Calls.Select(call => call.Flags).ShouldBe([RequestFlags.MayUnmap, RequestFlags.None, RequestFlags.MayUnmap | RequestFlags.FastOnly]);
    }

    [Fact]
    public async Task Fast_zero_on_a_slow_device_is_not_supported_and_changes_nothing()
    {
        RecordingDisk disk = new(Size, new(CanZeroFast: false));
        disk.Inner.Content.Fill(7);
        await using ServerFixture server = await ServerFixture.StartAsync(disk);
        RawClient client = server.Open();
        client.Error(NbdCommand.WriteZeroes, 0, 512, NbdCommandFlags.FastZero).ShouldBe(Enotsup);
        client.ReadDisk(0, 512).ShouldAllBe(value => value == 7);
    }

    [Theory]
    [MemberData(nameof(Framings))]
    public async Task A_device_error_reaches_the_client_and_the_next_request_is_served(string framing)
    {
        MemoryDisk disk = new(Size) { Fault = (_, offset) => offset == 4096 ? BlockStatus.IoError : BlockStatus.Ok };
        await using ServerFixture server = await ServerFixture.StartAsync(disk);
        RawClient client = Open(server, framing);
        client.Error(NbdCommand.Read, 4096, 1).ShouldBe(Eio);
        client.Error(NbdCommand.Read, 4096, 300_000).ShouldBe(Eio);
        client.Error(NbdCommand.Write, 4096, 512, PayloadFlag(client), new byte[512]).ShouldBe(Eio);
        client.ReadDisk(0, 512).Length.ShouldBe(512);
    }

    [Fact]
    public async Task A_device_that_throws_is_an_io_error_and_the_connection_lives_on()
    {
        MemoryDisk disk = new(Size) { Fault = (_, offset) => offset == 0 ? BlockStatus.Ok : throw new InvalidOperationException("broken") };
        await using ServerFixture server = await ServerFixture.StartAsync(disk);
        RawClient client = server.Open();
        client.Error(NbdCommand.Read, 512, 512).ShouldBe(Eio);
        client.ReadDisk(0, 512).Length.ShouldBe(512);
    }

    [Fact]
    public async Task Many_requests_in_one_send_are_all_answered()
    {
        await using ServerFixture server = await ServerFixture.StartAsync(new MemoryDisk(Size));
        RawClient client = server.Open();
        List<byte> burst = [];
        for (ulong i = 0; i < 200; i++)
        {
            burst.AddRange(Bytes.Request(false, NbdCommand.Write, i, i * 512, 512));
            burst.AddRange(Bytes.Pattern(512, (int)i));
        }

        client.Send([.. burst]);
        for (ulong i = 0; i < 200; i++)
        {
            client.ReadChunk(0).ShouldBeEquivalentTo(new Chunk(NbdReplyType.None, true, i, 0, 0, []));
        }

        client.ReadDisk(199 * 512, 512).ShouldBe(Bytes.Pattern(512, 199));
    }

    [Fact]
    public async Task A_request_that_arrives_byte_by_byte_is_served()
    {
        await using ServerFixture server = await ServerFixture.StartAsync(new MemoryDisk(Size));
        RawClient client = server.Open();
        byte[] data = Bytes.Pattern(40);
        foreach (byte value in (byte[])[.. Bytes.Request(false, NbdCommand.Write, 5, 100, 40), .. data])
        {
            client.Send([value]);
        }

        client.ReadChunk(0).Cookie.ShouldBe(5ul);
        client.ReadDisk(100, 40).ShouldBe(data);
    }

    [Fact]
    public async Task Odd_lengths_cross_the_receive_buffer_unharmed()
    {
        NbdServerOptions small = new() { ReceiveBufferBytes = 4096, BusyPoll = TimeSpan.Zero };
        await using ServerFixture server = await ServerFixture.StartAsync(new MemoryDisk(4 << 20), small);
        RawClient client = server.Open();
        int at = 0;
        List<byte> all = [];
        for (int i = 1; i < 300; i++)
        {
            byte[] data = Bytes.Pattern((i * 37) % 9000, i);
            client.Request(NbdCommand.Write, (ulong)i, (ulong)at, (ulong)data.Length, payload: data);
            all.AddRange(data);
            at += data.Length;
            client.ReadChunk(0).Error.ShouldBe(0u);
        }

        client.ReadDisk(0, at).AsSpan().SequenceEqual([.. all]).ShouldBeTrue();
    }

    [Fact]
    public async Task Disconnect_answers_what_came_before_it_and_closes()
    {
        await using ServerFixture server = await ServerFixture.StartAsync(new MemoryDisk(Size));
        RawClient client = server.Open();
        client.Send(
        [
            .. Bytes.Request(false, NbdCommand.Write, 1, 0, 512), .. new byte[512],
            .. Bytes.Request(false, NbdCommand.Disconnect, 2, 0, 0),
        ]);
        client.ReadChunk(0).Cookie.ShouldBe(1ul);
        client.ShouldBeClosed();
    }

    [Fact]
    public async Task Something_that_is_no_request_closes_the_connection()
    {
        await using ServerFixture server = await ServerFixture.StartAsync(new MemoryDisk(Size));
        RawClient client = server.Open();
        client.Send(Bytes.Pattern(64));
        client.ShouldBeClosed();
        RawClient compactOnExtended = server.Open(extended: true);
        compactOnExtended.Send([.. Bytes.Request(false, NbdCommand.Read, 1, 0, 512), 0, 0, 0, 0]);
        compactOnExtended.ShouldBeClosed();
    }

    [Fact]
    public async Task With_extended_headers_a_payload_where_none_belongs_is_drained_and_invalid()
    {
        await using ServerFixture server = await ServerFixture.StartAsync(new MemoryDisk(Size));
        RawClient client = server.Open(extended: true);
        client.Error(NbdCommand.Read, 0, 5000, NbdCommandFlags.PayloadLength, new byte[5000]).ShouldBe(Einval);
        client.Error((NbdCommand)99, 0, 5000, NbdCommandFlags.PayloadLength, new byte[5000]).ShouldBe(Einval);
        client.Request(NbdCommand.Read, 9, 512, 512);
        Chunk chunk = client.Reply()[^1];
        chunk.Data.Length.ShouldBe(512);
    }

    [Fact]
    public async Task With_extended_headers_every_reply_repeats_the_offset()
    {
        await using ServerFixture server = await ServerFixture.StartAsync(new MemoryDisk(Size));
        RawClient client = server.Open(extended: true);
        client.Request(NbdCommand.Write, 9, 512, 4, NbdCommandFlags.PayloadLength, [1, 2, 3, 4]);
        client.Reply()[^1].Offset.ShouldBe(512ul);
        client.Request(NbdCommand.Trim, 9, 1024, 512);
        client.Reply()[^1].Offset.ShouldBe(1024ul);
    }

    [Fact]
    public async Task A_payload_of_more_than_four_gigabytes_closes_the_connection()
    {
        await using ServerFixture server = await ServerFixture.StartAsync(new MemoryDisk(Size));
        RawClient client = server.Open(extended: true);
        client.Request(NbdCommand.Write, 1, 0, 1ul << 40, NbdCommandFlags.PayloadLength);
        client.ShouldBeClosed();
    }

    [Fact]
    public async Task Cache_reads_the_range_from_the_device()
    {
        RecordingDisk disk = new(Size);
        await using ServerFixture server = await ServerFixture.StartAsync(disk);
        server.Open().Error(NbdCommand.Cache, 4096, 600_000).ShouldBe(0u);
        disk.Calls.Sum(call => call.Length).ShouldBe(600_000);
        disk.Calls.First().Offset.ShouldBe(4096);
    }

    [Fact]
    public async Task Requests_and_bytes_and_errors_are_counted()
    {
        NbdExport export = new(string.Empty, new MemoryDisk(Size));
        await using ServerFixture server = await ServerFixture.StartAsync(export);
        RawClient client = server.Open();
        client.Error(NbdCommand.Write, 0, 512, payload: new byte[512]).ShouldBe(0u);
        client.Error(NbdCommand.Write, Size, 512, payload: new byte[512]).ShouldBe(Enospc);
        client.ReadDisk(0, 4096);
        Check();
        client.Dispose();
        await Eventually.TrueAsync(() => export.Connections.Count == 0, "the connection is gone");
        Check();

        void Check()
        {
            NbdOperationSnapshot writes = export.Metrics.Snapshot(NbdOperation.Write);
            (writes.Requests, writes.Bytes, writes.Errors).ShouldBe((2, 512, 1));
            writes.LatencyBuckets.Sum().ShouldBe(2);
            NbdOperationSnapshot reads = export.Metrics.Snapshot(NbdOperation.Read);
            (reads.Requests, reads.Bytes, reads.Errors).ShouldBe((1, 4096, 0));
        }
    }

    private static RawClient Open(ServerFixture server, string framing) => framing switch
    {
        "simple" => server.Open(),
        "structured" => server.Open(structured: true),
        _ => server.Open(extended: true),
    };

    private static NbdCommandFlags PayloadFlag(RawClient client) => client.Extended ? NbdCommandFlags.PayloadLength : 0;
}
