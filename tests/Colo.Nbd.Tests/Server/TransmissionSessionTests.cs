using Colo.Blocks;
using Colo.Nbd.Handshake;
using Colo.Nbd.Server;
using Colo.Nbd.Transmission;
using Colo.Nbd.Wire;
using Colo.Testing;
using Microsoft.Extensions.Logging.Abstractions;

namespace Colo.Nbd.Tests.Server;

/// <summary>The session driven by hand, without a thread or a socket: as a simulator drives it.</summary>
public sealed class TransmissionSessionTests
{
    private const int Size = 1 << 20;

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void However_the_bytes_are_cut_the_replies_are_the_same(int seed)
    {
        foreach (bool extended in (bool[])[false, true])
        {
            byte[] requests = SomeRequests(extended);
            byte[] whole = Drive(requests, extended, _ => requests.Length);
            Random random = new(seed);
            byte[] cut = Drive(requests, extended, _ => random.Next(1, 3000));
            cut.AsSpan().SequenceEqual(whole).ShouldBeTrue($"seed {seed}, extended {extended}");
            whole.Length.ShouldBeGreaterThan(100_000);
        }
    }

    [Fact]
    public void A_burst_leaves_in_one_send()
    {
        CountingStream stream = new();
        Drive([.. Enumerable.Range(0, 32).SelectMany(i => Bytes.Request(false, NbdCommand.Read, (ulong)i, 0, 4096))], false, _ => int.MaxValue, stream);
        stream.Writes.ShouldBe(1);
        stream.Length.ShouldBe(32 * (20 + 8 + 4096));
    }

    [Fact]
    public void Serving_a_request_allocates_nothing()
    {
        CountingStream stream = new() { Discards = true };
        byte[] burst =
        [
            .. Enumerable.Range(0, 16).SelectMany(i => Bytes.Request(false, NbdCommand.Read, (ulong)i, 0, 4096)),
            .. Enumerable.Range(0, 16).SelectMany(i => (byte[])[.. Bytes.Request(false, NbdCommand.Write, 1, 0, 512), .. new byte[512]]),
        ];
        using Harness harness = new(new VoidDisk(Size), false, stream);
        harness.Feed(burst);
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < 100; i++)
        {
            harness.Feed(burst);
        }

        (GC.GetAllocatedBytesForCurrentThread() - before).ShouldBeLessThan(100); // 3200 requests
    }

    private static byte[] SomeRequests(bool extended)
    {
        Random random = new(42);
        List<byte> bytes = [];
        for (ulong i = 0; i < 300; i++)
        {
            int length = random.Next(0, 6000);
            ulong offset = (ulong)random.Next(0, Size + 3000);
            NbdCommandFlags payload = extended ? NbdCommandFlags.PayloadLength : 0;
            switch (random.Next(6))
            {
                case 0 or 1:
                    bytes.AddRange(Bytes.Request(extended, NbdCommand.Write, i, offset, (ulong)length, payload));
                    bytes.AddRange(Bytes.Pattern(length, (int)i));
                    break;
                case 2 or 3:
                    bytes.AddRange(Bytes.Request(extended, NbdCommand.Read, i, offset, (ulong)length));
                    break;
                case 4:
                    bytes.AddRange(Bytes.Request(extended, NbdCommand.WriteZeroes, i, offset, (ulong)length));
                    break;
                default:
                    bytes.AddRange(Bytes.Request(extended, (NbdCommand)77, i, offset, 0));
                    break;
            }
        }

        return [.. bytes];
    }

    private static byte[] Drive(byte[] requests, bool extended, Func<int, int> piece, CountingStream? stream = null)
    {
        stream ??= new CountingStream();
        using Harness harness = new(new MemoryDisk(Size), extended, stream);
        for (int at = 0; at < requests.Length;)
        {
            int length = Math.Min(piece(at), requests.Length - at);
            harness.Feed(requests.AsSpan(at, length));
            at += length;
        }

        return stream.ToArray();
    }

    private sealed class Harness : IDisposable
    {
        private readonly ReplyQueue replies;
        private readonly TransmissionSession session;

        public Harness(IBlockDevice device, bool extended, Stream stream)
        {
            ReplyFormat format = extended ? ReplyFormat.Extended : ReplyFormat.Structured;
            NbdExport export = new(string.Empty, device);
            replies = new(stream, format, () => throw new InvalidOperationException("the stream never fails"));
            session = new(new(stream, export, format), replies, export.Metrics.Attach(), NullLogger.Instance, new());
            session.Pump().ShouldBe(PumpResult.NeedBytes);
        }

        public void Feed(ReadOnlySpan<byte> bytes)
        {
            while (!bytes.IsEmpty)
            {
                Span<byte> space = session.ReceiveSpace.Span;
                int part = Math.Min(space.Length, bytes.Length);
                bytes[..part].CopyTo(space);
                session.Received(part);
                bytes = bytes[part..];
                if (session.Pump() != PumpResult.NeedBytes)
                {
                    throw new InvalidOperationException("blocked or closed");
                }
            }
        }

        public void Dispose()
        {
            session.Close();
            session.WaitUntilIdle();
            replies.FinishSending();
            replies.Dispose();
        }
    }

    private sealed class CountingStream : MemoryStream
    {
        public int Writes { get; private set; }

        public bool Discards { get; init; }

        public override void Write(ReadOnlySpan<byte> buffer)
        {
            Writes++;
            if (!Discards)
            {
                base.Write(buffer);
            }
        }
    }
}
