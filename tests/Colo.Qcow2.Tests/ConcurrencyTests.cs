using Colo.Blocks;
using Colo.Testing;

namespace Colo.Qcow2.Tests;

public class ConcurrencyTests
{
    private const int Workers = 4;
    private const int RegionBytes = 600_000;

    /// <summary>Each worker owns every fourth sector, so that all of them share grains, clusters and tables but no byte.</summary>
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Writers_of_neighbouring_bytes_never_lose_each_others(bool inChain)
    {
        using TempDirectory directory = new(onTmpfs: true);
        Qcow2Image image = await Qcow2Image.CreateAsync(ImageFile.Create(directory.File("shared")), Qcow2CreateOptions.ForBuffer(RegionBytes));
        MemoryDisk below = new(RegionBytes);
        new Random(1).NextBytes(below.Content);
        byte[] expected = inChain ? below.Content.ToArray() : new byte[RegionBytes];
        await using IBlockDevice device = inChain ? Qcow2Chain.Compose(image, below) : image;

        await Task.WhenAll(Enumerable.Range(0, Workers).Select(worker => Task.Run(() => WorkAsync(device, worker, expected))));

        byte[] all = await History.ReadAllAsync(device);
        all.ShouldBe(expected);
        (await image.CheckAsync()).IsClean.ShouldBeTrue();
    }

    /// <summary>Clusters are freed and given out again under running reads: a reader sees its own bytes or zeroes, never another's.</summary>
    [Fact]
    public async Task A_reader_never_sees_a_cluster_that_went_to_another_place()
    {
        using TempDirectory directory = new(onTmpfs: true);
        await using Qcow2Image image = await Qcow2Image.CreateAsync(
            ImageFile.Create(directory.File("moving")),
            new() { LengthBytes = 1 << 20, ClusterBits = 12, ExtendedL2 = false, Durability = Qcow2Durability.ProcessDeath });
        using CancellationTokenSource done = new();
        Task[] readers = [.. Enumerable.Range(0, 2).Select(seed => Task.Run(() => ReadForeverAsync(image, seed, done.Token)))];
        Random random = new(5);
        for (int i = 0; i < 4000; i++)
        {
            int cluster = random.Next(256);
            BlockStatus status = random.Next(2) == 0
                ? await image.WriteAsync(cluster * 4096L, Filled((byte)cluster))
                : await image.DiscardAsync(new(cluster * 4096L, 4096));
            status.ShouldBe(BlockStatus.Ok);
        }

        await done.CancelAsync();
        await Task.WhenAll(readers);
        (await image.CheckAsync()).IsClean.ShouldBeTrue();
    }

    private static async Task WorkAsync(IBlockDevice device, int worker, byte[] expected)
    {
        Random random = new(worker);
        for (int i = 0; i < 2000; i++)
        {
            int sector = (random.Next(RegionBytes / 512 / Workers) * Workers) + worker;
            byte[] data = new byte[512];
            random.NextBytes(data);
            BlockStatus status = await device.WriteAsync(sector * 512L, data);
            status.ShouldBe(BlockStatus.Ok);
            data.CopyTo(expected, sector * 512);
        }
    }

    private static async Task ReadForeverAsync(Qcow2Image image, int seed, CancellationToken done)
    {
        Random random = new(seed);
        byte[] data = new byte[4096];
        while (!done.IsCancellationRequested)
        {
            int cluster = random.Next(256);
            (await image.ReadAsync(cluster * 4096L, data)).ShouldBe(BlockStatus.Ok);
            int foreign = data.AsSpan().IndexOfAnyExcept((byte)0, (byte)cluster);
            foreign.ShouldBe(-1, $"cluster {cluster} showed the content of {(foreign < 0 ? 0 : data[foreign])}");
        }
    }

    private static byte[] Filled(byte value)
    {
        byte[] data = new byte[4096];
        Array.Fill(data, value);
        return data;
    }
}
