using System.Buffers.Binary;
using Colo.Blocks;
using Colo.Nbd.Server;
using Colo.Nbd.Wire;
using Colo.Testing;

namespace Colo.Nbd.Tests.Server;

public sealed class BlockStatusTests
{
    private static RecordingDisk ThreeExtents()
    {
        RecordingDisk disk = new(1 << 20);
        disk.Extents.Add(new(new(0, 4096), ExtentKind.Data));
        disk.Extents.Add(new(new(4096, 4096), ExtentKind.Data));
        disk.Extents.Add(new(new(8192, 65536), ExtentKind.Hole | ExtentKind.Zero));
        disk.Extents.Add(new(BlockRange.FromTo(73728, 1 << 20), ExtentKind.Zero));
        return disk;
    }

    [Fact]
    public async Task Extents_of_a_range_come_in_one_chunk_with_neighbours_joined()
    {
        await using ServerFixture server = await ServerFixture.StartAsync(ThreeExtents());
        RawClient client = server.Open(structured: true, contexts: "base:allocation");
        client.Request(NbdCommand.BlockStatus, 1, 0, 1 << 20);
        Chunk chunk = client.Reply().ShouldHaveSingleItem();
        chunk.Type.ShouldBe(NbdReplyType.BlockStatus);
        Compact(chunk).ShouldBe([(8192, 0u), (65536, 3u), ((1 << 20) - 73728, 2u)]);
    }

    [Fact]
    public async Task Req_one_gives_one_extent()
    {
        await using ServerFixture server = await ServerFixture.StartAsync(ThreeExtents());
        RawClient client = server.Open(structured: true, contexts: "base:allocation");
        client.Request(NbdCommand.BlockStatus, 1, 8192, 1 << 19, NbdCommandFlags.ReqOne);
        Compact(client.Reply()[0]).ShouldBe([(65536, 3u)]);
    }

    [Fact]
    public async Task With_extended_headers_extents_have_64_bit_lengths()
    {
        await using ServerFixture server = await ServerFixture.StartAsync(new VoidDisk(1L << 45));
        RawClient client = server.Open(extended: true, contexts: "base:allocation");
        client.Request(NbdCommand.BlockStatus, 1, 1 << 20, (1ul << 45) - (1 << 20));
        Chunk chunk = client.Reply().ShouldHaveSingleItem();
        chunk.Type.ShouldBe(NbdReplyType.BlockStatusExtended);
        chunk.Data.Length.ShouldBe(8 + 16);
        BinaryPrimitives.ReadUInt32BigEndian(chunk.Data.AsSpan(4)).ShouldBe(1u);
        BinaryPrimitives.ReadUInt64BigEndian(chunk.Data.AsSpan(8)).ShouldBe((1ul << 45) - (1 << 20));
        BinaryPrimitives.ReadUInt64BigEndian(chunk.Data.AsSpan(16)).ShouldBe(3ul);
    }

    [Fact]
    public async Task Each_selected_context_gets_one_chunk()
    {
        NbdExport export = new(string.Empty, ThreeExtents()) { Checkpoint = _ => new(BlockStatus.Ok) };
        await using ServerFixture server = await ServerFixture.StartAsync(export);
        RawClient client = server.Open(structured: true, contexts: ["base:allocation", "colo:checkpoint"]);
        client.Request(NbdCommand.BlockStatus, 1, 0, 65536);
        List<Chunk> chunks = client.Reply();
        chunks.Count.ShouldBe(2);
        chunks.Select(chunk => BinaryPrimitives.ReadUInt32BigEndian(chunk.Data)).Distinct().Count().ShouldBe(2);
        Compact(chunks[1]).ShouldBe([(65536, 0u)]);
    }

    [Fact]
    public async Task Block_status_of_nothing_past_the_end_or_without_a_context_is_invalid()
    {
        await using ServerFixture server = await ServerFixture.StartAsync(ThreeExtents());
        RawClient client = server.Open(structured: true, contexts: "base:allocation");
        client.Error(NbdCommand.BlockStatus, 0, 0).ShouldBe(22u);
        client.Error(NbdCommand.BlockStatus, 1 << 20, 1).ShouldBe(22u);
        RawClient without = server.Open(structured: true);
        without.Error(NbdCommand.BlockStatus, 0, 512).ShouldBe(22u);
        without.ReadDisk(0, 512).Length.ShouldBe(512);
    }

    [Fact]
    public async Task A_reply_holds_no_more_extents_than_the_limit_and_no_less_than_one()
    {
        RecordingDisk disk = new(4 << 20);
        for (int i = 0; i < 4096; i++)
        {
            disk.Extents.Add(new(new(i * 1024, 1024), i % 2 == 0 ? ExtentKind.Data : ExtentKind.Zero));
        }

        await using ServerFixture server = await ServerFixture.StartAsync(disk);
        RawClient client = server.Open(structured: true, contexts: "base:allocation");
        client.Request(NbdCommand.BlockStatus, 1, 0, 4 << 20);
        Compact(client.Reply()[0]).Count.ShouldBe(NbdLimits.MaxExtents);
    }

    private static List<(long Length, uint Flags)> Compact(Chunk chunk)
    {
        List<(long, uint)> extents = [];
        for (int at = 4; at < chunk.Data.Length; at += 8)
        {
            extents.Add((BinaryPrimitives.ReadUInt32BigEndian(chunk.Data.AsSpan(at)), BinaryPrimitives.ReadUInt32BigEndian(chunk.Data.AsSpan(at + 4))));
        }

        return extents;
    }
}
