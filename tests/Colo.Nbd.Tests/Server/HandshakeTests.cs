using System.Buffers.Binary;
using System.Text;
using Colo.Blocks;
using Colo.Nbd.Server;
using Colo.Nbd.Wire;
using Colo.Testing;

namespace Colo.Nbd.Tests.Server;

public sealed class HandshakeTests
{
    private static NbdExportTable TwoExports() => new(
        new NbdExport("alpha", new MemoryDisk(1 << 20)) { Description = "the first" },
        new NbdExport("beta", new MemoryDisk(2 << 20)) { IsReadOnly = true });

    [Fact]
    public async Task Unknown_client_flags_close_the_connection()
    {
        await using ServerFixture server = await ServerFixture.StartAsync(new MemoryDisk(4096));
        server.Connect().Greet(clientFlags: 0x8001).ShouldBeClosed();
    }

    [Fact]
    public async Task List_names_every_export_with_its_description()
    {
        await using ServerFixture server = await ServerFixture.StartAsync(TwoExports());
        List<OptionAnswer> answers = server.Connect().Greet().Ask(NbdOption.List);
        answers.Count.ShouldBe(3);
        answers[0].Data.ShouldBe([.. Bytes.String("alpha"), .. "the first"u8]);
        answers[1].Data.ShouldBe(Bytes.String("beta"));
        answers[2].Reply.ShouldBe(NbdOptionReply.Ack);
    }

    [Theory]
    [InlineData(NbdOption.List)]
    [InlineData(NbdOption.StartTls)]
    [InlineData(NbdOption.StructuredReply)]
    [InlineData(NbdOption.ExtendedHeaders)]
    public async Task Data_on_an_option_that_takes_none_is_invalid(NbdOption option)
    {
        await using ServerFixture server = await ServerFixture.StartAsync(TwoExports());
        RawClient client = server.Connect().Greet();
        client.AskLast(option, 1, 2, 3).ShouldBe(NbdOptionReply.ErrorInvalid);
        client.AskLast(NbdOption.List).ShouldBe(NbdOptionReply.Ack);
    }

    [Fact]
    public async Task An_unknown_option_is_drained_and_unsupported_and_the_handshake_goes_on()
    {
        await using ServerFixture server = await ServerFixture.StartAsync(TwoExports());
        RawClient client = server.Connect().Greet();
        client.AskLast((NbdOption)4711, Bytes.Pattern(1000)).ShouldBe(NbdOptionReply.ErrorUnsupported);
        client.Go("alpha");
    }

    [Fact]
    public async Task An_oversize_option_is_drained_and_too_big_and_the_handshake_goes_on()
    {
        await using ServerFixture server = await ServerFixture.StartAsync(TwoExports());
        RawClient client = server.Connect().Greet();
        client.AskLast(NbdOption.Go, new byte[NbdLimits.MaxOptionBytes + 1]).ShouldBe(NbdOptionReply.ErrorTooBig);
        client.Go("alpha");
    }

    [Fact]
    public async Task An_option_that_announces_gigabytes_closes_the_connection()
    {
        await using ServerFixture server = await ServerFixture.StartAsync(TwoExports());
        RawClient client = server.Connect().Greet();
        client.Send([.. Bytes.UInt64(NbdMagic.Option), .. Bytes.UInt32(6), .. Bytes.UInt32(uint.MaxValue)]);
        client.ShouldBeClosed();
    }

    [Fact]
    public async Task Garbage_instead_of_an_option_closes_the_connection()
    {
        await using ServerFixture server = await ServerFixture.StartAsync(TwoExports());
        RawClient client = server.Connect().Greet();
        client.Send(Bytes.Pattern(64));
        client.ShouldBeClosed();
    }

    [Fact]
    public async Task More_options_than_the_limit_close_the_connection()
    {
        await using ServerFixture server = await ServerFixture.StartAsync(TwoExports());
        RawClient client = server.Connect().Greet();
        for (int i = 0; i < NbdLimits.MaxOptions; i++)
        {
            client.AskLast((NbdOption)99).ShouldBe(NbdOptionReply.ErrorUnsupported);
        }

        client.ShouldBeClosed();
    }

    [Fact]
    public async Task Abort_is_acknowledged_and_ends_the_connection()
    {
        await using ServerFixture server = await ServerFixture.StartAsync(TwoExports());
        RawClient client = server.Connect().Greet();
        client.AskLast(NbdOption.Abort).ShouldBe(NbdOptionReply.Ack);
        client.ShouldBeClosed();
    }

    [Fact]
    public async Task Info_and_go_with_the_same_arguments_answer_the_same()
    {
        await using ServerFixture server = await ServerFixture.StartAsync(TwoExports());
        RawClient client = server.Connect().Greet();
        byte[] request = Bytes.InfoRequest("alpha", 1, 2, 3);
        List<OptionAnswer> info = client.Ask(NbdOption.Info, request);
        List<OptionAnswer> go = client.Ask(NbdOption.Go, request);
        info.Select(answer => (answer.Reply, Convert.ToHexString(answer.Data)))
            .ShouldBe(go.Select(answer => (answer.Reply, Convert.ToHexString(answer.Data))));
        info.Count.ShouldBe(5); // export, block size, name, description, ack
    }

    [Fact]
    public async Task Info_tells_size_flags_and_block_sizes()
    {
        DeviceCapabilities capabilities = new(MinimumBlockBytes: 512, PreferredBlockBytes: 65536);
        await using ServerFixture server = await ServerFixture.StartAsync(new MemoryDisk(1 << 20) { Capabilities = capabilities });
        RawClient client = server.Connect().Greet();
        List<OptionAnswer> answers = client.Ask(NbdOption.Info, Bytes.InfoRequest(string.Empty, 3));
        byte[] export = answers.Single(answer => answer.Data is [0, 0, ..]).Data;
        BinaryPrimitives.ReadUInt64BigEndian(export.AsSpan(2)).ShouldBe(1ul << 20);
        ((NbdTransmissionFlags)BinaryPrimitives.ReadUInt16BigEndian(export.AsSpan(10))).ShouldBe(
            NbdTransmissionFlags.HasFlags | NbdTransmissionFlags.SendFlush | NbdTransmissionFlags.SendFua | NbdTransmissionFlags.SendTrim
            | NbdTransmissionFlags.SendWriteZeroes | NbdTransmissionFlags.SendFastZero | NbdTransmissionFlags.SendCache
            | NbdTransmissionFlags.CanMultiConn);
        answers.Single(answer => answer.Data is [0, 3, ..]).Data
            .ShouldBe([0, 3, .. Bytes.UInt32(512), .. Bytes.UInt32(65536), .. Bytes.UInt32(NbdLimits.MaxPayloadBytes)]);
    }

    [Theory]
    [InlineData(false, NbdTransmissionFlags.CanMultiConn)]
    [InlineData(true, NbdTransmissionFlags.None)]
    public async Task Multi_conn_is_offered_only_where_a_flush_covers_all(bool separate, NbdTransmissionFlags expected)
    {
        MemoryDisk disk = new(4096) { Capabilities = new(FlushCoversAll: !separate) };
        await using ServerFixture server = await ServerFixture.StartAsync(disk);
        byte[] export = server.Connect().Greet().Ask(NbdOption.Go, Bytes.InfoRequest(string.Empty))[0].Data;
        ((NbdTransmissionFlags)BinaryPrimitives.ReadUInt16BigEndian(export.AsSpan(10)) & NbdTransmissionFlags.CanMultiConn).ShouldBe(expected);
    }

    [Fact]
    public async Task A_read_only_export_says_so_and_offers_no_writing()
    {
        await using ServerFixture server = await ServerFixture.StartAsync(TwoExports());
        byte[] export = server.Connect().Greet().Ask(NbdOption.Info, Bytes.InfoRequest("beta"))[0].Data;
        NbdTransmissionFlags flags = (NbdTransmissionFlags)BinaryPrimitives.ReadUInt16BigEndian(export.AsSpan(10));
        flags.HasFlag(NbdTransmissionFlags.ReadOnly).ShouldBeTrue();
        (flags & (NbdTransmissionFlags.SendTrim | NbdTransmissionFlags.SendWriteZeroes | NbdTransmissionFlags.SendFastZero))
            .ShouldBe(NbdTransmissionFlags.None);
    }

    [Fact]
    public async Task Large_minimum_blocks_are_refused_to_a_client_that_did_not_ask_for_them()
    {
        MemoryDisk disk = new(1 << 20) { Capabilities = new(MinimumBlockBytes: 4096) };
        await using ServerFixture server = await ServerFixture.StartAsync(disk);
        RawClient client = server.Connect().Greet();
        client.AskLast(NbdOption.Info, Bytes.InfoRequest(string.Empty)).ShouldBe(NbdOptionReply.ErrorBlockSizeRequired);
        client.AskLast(NbdOption.Go, Bytes.InfoRequest(string.Empty)).ShouldBe(NbdOptionReply.ErrorBlockSizeRequired);
        client.AskLast(NbdOption.Go, Bytes.InfoRequest(string.Empty, 3)).ShouldBe(NbdOptionReply.Ack);
    }

    [Fact]
    public async Task A_name_that_does_not_exist_is_unknown_and_the_handshake_goes_on()
    {
        await using ServerFixture server = await ServerFixture.StartAsync(TwoExports());
        RawClient client = server.Connect().Greet();
        OptionAnswer answer = client.Ask(NbdOption.Go, Bytes.InfoRequest("gamma"))[^1];
        answer.Reply.ShouldBe(NbdOptionReply.ErrorUnknown);
        answer.Text.ShouldContain("gamma");
        client.Go("alpha");
    }

    [Fact]
    public async Task A_refusal_by_policy_reaches_the_client_with_its_message()
    {
        await using ServerFixture server = await ServerFixture.StartAsync(new RefusingProvider());
        RawClient client = server.Connect().Greet();
        OptionAnswer answer = client.Ask(NbdOption.Go, Bytes.InfoRequest("x"))[^1];
        answer.Reply.ShouldBe(NbdOptionReply.ErrorPolicy);
        answer.Text.ShouldBe("term 3 is older than 4");
    }

    public static TheoryData<string, byte[]> MalformedInfo() => new()
    {
        { "empty", [] },
        { "a length that reaches past the data", Bytes.UInt32(100) },
        { "a string above 4096 bytes", [.. Bytes.String(new string('x', 4097)), 0, 0] },
        { "a NUL in the name", [.. Bytes.UInt32(3), (byte)'a', 0, (byte)'b', 0, 0] },
        { "no UTF-8", [.. Bytes.UInt32(2), 0xC3, 0x28, 0, 0] },
        { "fewer items than announced", [.. Bytes.String("alpha"), 0, 2, 0, 1] },
        { "more bytes than announced", [.. Bytes.String("alpha"), 0, 0, 0] },
    };

    [Theory]
    [MemberData(nameof(MalformedInfo))]
    public async Task Malformed_info_requests_are_invalid_and_the_handshake_goes_on(string what, byte[] data)
    {
        await using ServerFixture server = await ServerFixture.StartAsync(TwoExports());
        RawClient client = server.Connect().Greet();
        client.AskLast(NbdOption.Info, data).ShouldBe(NbdOptionReply.ErrorInvalid, what);
        client.AskLast(NbdOption.Go, data).ShouldBe(NbdOptionReply.ErrorInvalid, what);
        client.Go("alpha");
    }

    [Theory]
    [InlineData(1u, 134)]
    [InlineData(3u, 10)]
    public async Task Export_name_answers_with_zeroes_unless_the_client_wants_none(uint clientFlags, int length)
    {
        await using ServerFixture server = await ServerFixture.StartAsync(TwoExports());
        RawClient client = server.Connect().Greet(clientFlags);
        client.SendOption(NbdOption.ExportName, Encoding.ASCII.GetBytes("beta"));
        byte[] answer = client.Read(length);
        BinaryPrimitives.ReadUInt64BigEndian(answer).ShouldBe(2ul << 20);
        answer.AsSpan(10).ToArray().ShouldAllBe(value => value == 0);
        client.ReadDisk(0, 512).ShouldAllBe(value => value == 0);
    }

    [Fact]
    public async Task A_client_without_fixed_newstyle_can_use_export_name_and_nothing_else()
    {
        await using ServerFixture server = await ServerFixture.StartAsync(TwoExports());
        RawClient old = server.Connect().Greet(clientFlags: 0);
        old.SendOption(NbdOption.ExportName, Encoding.ASCII.GetBytes("alpha"));
        old.Read(134);
        RawClient other = server.Connect().Greet(clientFlags: 0);
        other.SendOption(NbdOption.List);
        other.ShouldBeClosed();
    }

    [Fact]
    public async Task Export_name_of_nothing_closes_the_connection()
    {
        await using ServerFixture server = await ServerFixture.StartAsync(TwoExports());
        RawClient client = server.Connect().Greet();
        client.SendOption(NbdOption.ExportName, Encoding.ASCII.GetBytes("gamma"));
        client.ShouldBeClosed();
    }

    [Fact]
    public async Task Structured_replies_cannot_be_agreed_on_twice_nor_behind_extended_headers()
    {
        await using ServerFixture server = await ServerFixture.StartAsync(TwoExports());
        RawClient client = server.Connect().Greet();
        client.AskLast(NbdOption.StructuredReply).ShouldBe(NbdOptionReply.Ack);
        client.AskLast(NbdOption.StructuredReply).ShouldBe(NbdOptionReply.ErrorInvalid);
        client.AskLast(NbdOption.ExtendedHeaders).ShouldBe(NbdOptionReply.Ack);
        client.AskLast(NbdOption.StructuredReply).ShouldBe(NbdOptionReply.ErrorExtendedHeadersRequired);
        client.AskLast(NbdOption.ExtendedHeaders).ShouldBe(NbdOptionReply.ErrorInvalid);
    }

    [Fact]
    public async Task Meta_contexts_need_structured_replies()
    {
        await using ServerFixture server = await ServerFixture.StartAsync(TwoExports());
        RawClient client = server.Connect().Greet();
        client.AskLast(NbdOption.SetMetaContext, Bytes.Query("alpha", "base:allocation")).ShouldBe(NbdOptionReply.ErrorInvalid);
        client.AskLast(NbdOption.ListMetaContext, Bytes.Query("alpha")).ShouldBe(NbdOptionReply.ErrorInvalid);
    }

    [Fact]
    public async Task List_meta_context_answers_all_by_namespace_and_by_name()
    {
        NbdExport plain = new("plain", new MemoryDisk(4096));
        NbdExport replica = new("replica", new MemoryDisk(4096)) { Checkpoint = _ => new(BlockStatus.Ok) };
        await using ServerFixture server = await ServerFixture.StartAsync(new NbdExportTable(plain, replica));
        RawClient client = server.Connect().Greet();
        client.AskLast(NbdOption.StructuredReply).ShouldBe(NbdOptionReply.Ack);
        Names("plain").ShouldBe(["base:allocation"]);
        Names("replica").ShouldBe(["base:allocation", "colo:checkpoint"]);
        Names("replica", "base:").ShouldBe(["base:allocation"]);
        Names("replica", "colo:").ShouldBe(["colo:checkpoint"]);
        Names("plain", "colo:checkpoint", "qemu:dirty-bitmap:x").ShouldBeEmpty();
        client.AskLast(NbdOption.ListMetaContext, Bytes.Query("gamma")).ShouldBe(NbdOptionReply.ErrorUnknown);

        IEnumerable<string> Names(string export, params string[] queries) =>
            client.Ask(NbdOption.ListMetaContext, Bytes.Query(export, queries)).SkipLast(1).Select(answer => answer.Text[4..]);
    }

    [Fact]
    public async Task A_selected_context_holds_only_for_the_export_it_was_selected_for()
    {
        await using ServerFixture server = await ServerFixture.StartAsync(TwoExports());
        RawClient client = server.Connect().Greet();
        client.AskLast(NbdOption.StructuredReply).ShouldBe(NbdOptionReply.Ack);
        client.Ask(NbdOption.SetMetaContext, Bytes.Query("alpha", "base:allocation")).Count.ShouldBe(2);
        client.Go("beta");
        client.Structured = true;
        client.Error(NbdCommand.BlockStatus, 0, 4096).ShouldBe(22u);
    }

    [Fact]
    public async Task A_second_selection_replaces_the_first_even_where_it_fails()
    {
        await using ServerFixture server = await ServerFixture.StartAsync(TwoExports());
        RawClient client = server.Connect().Greet();
        client.AskLast(NbdOption.StructuredReply).ShouldBe(NbdOptionReply.Ack);
        client.Ask(NbdOption.SetMetaContext, Bytes.Query("alpha", "base:allocation")).Count.ShouldBe(2);
        client.AskLast(NbdOption.SetMetaContext, Bytes.Query("gamma", "base:allocation")).ShouldBe(NbdOptionReply.ErrorUnknown);
        client.Go("alpha");
        client.Structured = true;
        client.Error(NbdCommand.BlockStatus, 0, 4096).ShouldBe(22u);
    }

    [Fact]
    public async Task A_peer_that_says_nothing_is_closed_when_the_time_for_the_handshake_is_over()
    {
        NbdServerOptions options = new() { HandshakeTimeout = TimeSpan.FromMilliseconds(200), BusyPoll = TimeSpan.Zero };
        await using ServerFixture server = await ServerFixture.StartAsync(new MemoryDisk(4096), options);
        RawClient silent = server.Connect();
        RawClient half = server.Connect().Greet();
        half.Send(Bytes.UInt64(NbdMagic.Option));
        silent.ShouldBeClosed(afterAtMost: 18);
        half.ShouldBeClosed();
    }

    [Fact]
    public async Task A_finished_handshake_is_not_timed_out()
    {
        NbdServerOptions options = new() { HandshakeTimeout = TimeSpan.FromMilliseconds(300), BusyPoll = TimeSpan.Zero };
        await using ServerFixture server = await ServerFixture.StartAsync(new MemoryDisk(4096), options);
        RawClient client = server.Open();
        server.Connect().ShouldBeClosed(afterAtMost: 18); // the limit has passed when this one is cut
        client.ReadDisk(0, 512).Length.ShouldBe(512);
    }

    private sealed class RefusingProvider : INbdExportProvider
    {
        public ValueTask<IReadOnlyList<NbdExport>> ListAsync(NbdPeer peer, CancellationToken cancellationToken) => new([]);

        public ValueTask<NbdExportAnswer> FindAsync(string name, NbdPeer peer, CancellationToken cancellationToken) =>
            new(NbdExportAnswer.RefusedByPolicy("term 3 is older than 4"));
    }
}
