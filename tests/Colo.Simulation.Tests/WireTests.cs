using System.Buffers.Binary;
using Colo.Nbd.Wire;
using Colo.Simulation.Checks;

namespace Colo.Simulation.Tests;

/// <summary>What the simulator looks at on each connection would notice the replies that no server may send.</summary>
public sealed class WireTests
{
    private readonly List<string> violations = [];
    private readonly Wire wire;

    public WireTests()
    {
        wire = new("a>b", mostRequests: 2, what => violations.Add(what.Message));
        wire.Says(isClient: false, new byte[18]);
        wire.Says(isClient: true, new byte[4]);
        wire.Says(isClient: true, Option(7, "disk"));
    }

    [Fact]
    public void Requests_and_their_replies_are_counted_however_they_are_cut_into_pieces()
    {
        byte[] asked = [.. Request(NbdCommand.Write, 1, 4096), .. new byte[4096], .. Request(NbdCommand.Read, 2, 512)];
        for (int at = 0; at < asked.Length; at += 100)
        {
            wire.Says(isClient: true, asked.AsSpan(at, Math.Min(100, asked.Length - at)));
        }

        wire.Says(isClient: false, [.. Simple(2), .. new byte[512], .. Simple(1)]);
        violations.ShouldBeEmpty();
        (wire.Requests, wire.Replies).ShouldBe((2, 2));
    }

    [Fact]
    public void A_reply_without_its_request_is_found()
    {
        wire.Says(isClient: true, Request(NbdCommand.Flush, 1, 0));
        wire.Says(isClient: false, Simple(9));
        violations.ShouldHaveSingleItem().ShouldContain("reply 9 to no request");
    }

    [Fact]
    public void A_second_reply_is_found()
    {
        wire.Says(isClient: true, Request(NbdCommand.Flush, 1, 0));
        wire.Says(isClient: false, [.. Simple(1), .. Simple(1)]);
        violations.ShouldHaveSingleItem().ShouldContain("reply 1 to no request");
    }

    [Fact]
    public void A_cookie_that_is_used_twice_at_a_time_is_found()
    {
        wire.Says(isClient: true, [.. Request(NbdCommand.Flush, 1, 0), .. Request(NbdCommand.Flush, 1, 0)]);
        violations.ShouldHaveSingleItem().ShouldContain("twice");
    }

    [Fact]
    public void More_requests_on_the_wire_than_allowed_are_found()
    {
        wire.Says(isClient: true, [.. Request(NbdCommand.Flush, 1, 0), .. Request(NbdCommand.Flush, 2, 0), .. Request(NbdCommand.Flush, 3, 0)]);
        violations.ShouldHaveSingleItem().ShouldContain("2 are allowed");
    }

    private static byte[] Option(uint number, string name)
    {
        byte[] option = new byte[16 + name.Length];
        BinaryPrimitives.WriteUInt64BigEndian(option, NbdMagic.Option);
        BinaryPrimitives.WriteUInt32BigEndian(option.AsSpan(8), number);
        BinaryPrimitives.WriteUInt32BigEndian(option.AsSpan(12), (uint)name.Length);
        return option;
    }

    private static byte[] Request(NbdCommand command, ulong cookie, uint length)
    {
        byte[] request = new byte[28];
        BinaryPrimitives.WriteUInt32BigEndian(request, NbdMagic.Request);
        BinaryPrimitives.WriteUInt16BigEndian(request.AsSpan(6), (ushort)command);
        BinaryPrimitives.WriteUInt64BigEndian(request.AsSpan(8), cookie);
        BinaryPrimitives.WriteUInt32BigEndian(request.AsSpan(24), length);
        return request;
    }

    private static byte[] Simple(ulong cookie)
    {
        byte[] reply = new byte[16];
        BinaryPrimitives.WriteUInt32BigEndian(reply, NbdMagic.SimpleReply);
        BinaryPrimitives.WriteUInt64BigEndian(reply.AsSpan(8), cookie);
        return reply;
    }
}
