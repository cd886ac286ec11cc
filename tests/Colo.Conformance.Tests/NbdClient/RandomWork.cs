using Colo.Blocks;

namespace Colo.Conformance.Tests.RealServers;

/// <summary>Random requests, many in flight, against a device; and the content that must be there afterwards.</summary>
internal sealed class RandomWork(int seed, int lengthBytes, int alignmentBytes = 1)
{
    private readonly Random random = new(seed);

    public byte[] Expected { get; } = new byte[lengthBytes];

    /// <summary>Rounds of up to sixteen requests at once, each in its own part of the disk: overlaps have no defined order.</summary>
    public async Task RunAsync(IBlockDevice device, int rounds)
    {
        for (int round = 0; round < rounds; round++)
        {
            int parts = random.Next(1, 17);
            int partBytes = lengthBytes / parts / alignmentBytes * alignmentBytes;
            List<ValueTask<BlockStatus>> answers = [];
            List<(byte[] Read, int Offset)> reads = [];
            using (IoBatch.Begin())
            {
                for (int part = 0; part < parts; part++)
                {
                    answers.Add(Start(device, part * partBytes, partBytes, reads));
                }
            }

            foreach (ValueTask<BlockStatus> answer in answers)
            {
                (await answer).ShouldBe(BlockStatus.Ok, $"seed {seed}");
            }

            foreach ((byte[] read, int offset) in reads)
            {
                read.AsSpan().SequenceEqual(Expected.AsSpan(offset, read.Length)).ShouldBeTrue($"seed {seed}, read at {offset}");
            }
        }
    }

    public async Task VerifyAsync(IBlockDevice device)
    {
        byte[] read = new byte[lengthBytes];
        (await device.ReadAsync(0, read)).ShouldBe(BlockStatus.Ok);
        int difference = read.AsSpan().CommonPrefixLength(Expected);
        difference.ShouldBe(lengthBytes, $"seed {seed}: the first difference");
    }

    private ValueTask<BlockStatus> Start(IBlockDevice device, int partOffset, int partBytes, List<(byte[] Read, int Offset)> reads)
    {
        int start = Align(random.Next(partBytes));
        int length = Align(random.Next(Math.Min(partBytes - start, random.Next(10) == 0 ? int.MaxValue : 64 << 10) + 1));
        int offset = partOffset + start;
        RequestFlags flags = random.Next(8) == 0 ? RequestFlags.ForceUnitAccess : RequestFlags.None;
        Span<byte> expected = Expected.AsSpan(offset, length);
        switch (random.Next(8))
        {
            case 0 when length > 0:
                expected.Clear();
                return device.WriteZeroesAsync(
                    new BlockRange(offset, length), flags | (random.Next(2) == 0 ? RequestFlags.MayUnmap : RequestFlags.None));
            case 1:
                return device.FlushAsync();
            case 2 or 3 or 4:
                byte[] read = new byte[length];
                reads.Add((read, offset));
                return device.ReadAsync(offset, read);
            default:
                random.NextBytes(expected);
                return device.WriteAsync(offset, expected.ToArray(), flags);
        }
    }

    private int Align(int value) => value / alignmentBytes * alignmentBytes;
}
