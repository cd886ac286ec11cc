using Colo.Blocks;

namespace Colo.Qcow2.Tests;

/// <summary>What one answered request left: how many changes of the file had happened, and what the disk then held.</summary>
public sealed record Moment(Operation Operation, BlockRange Range, int ChangesBefore, int ChangesAfter, byte[] Before, byte[] After);

/// <summary>A seeded run of requests on a recorded file.</summary>
public sealed class History
{
    private History(Qcow2CreateOptions options, MemoryImageFile file, List<Moment> moments) => (Options, File, Moments) = (options, file, moments);

    public Qcow2CreateOptions Options { get; }

    public MemoryImageFile File { get; }

    public IReadOnlyList<Moment> Moments { get; }

    public static async Task<History> RunAsync(Qcow2CreateOptions options, int seed, int operations, bool closes = true)
    {
        Random random = new(seed);
        MemoryImageFile file = new();
        Qcow2Image image = await Qcow2Image.CreateAsync(file, options);
        List<Moment> moments = [];
        for (int i = 0; i < operations; i++)
        {
            Operation operation = new(Kind(random), random.NextDouble(), random.NextDouble() * 0.7, (byte)random.Next(256));
            byte[] before = await ReadAllAsync(image);
            int changes = file.Changes.Count;
            if (operation.Kind == OperationKind.Resize)
            {
                (await image.ResizeAsync(image.LengthBytes + 10_000)).ShouldBe(BlockStatus.Ok);
            }
            else
            {
                (await RandomHistoryTests.ApplyAsync(image, operation)).ShouldBe(BlockStatus.Ok);
            }

            byte[] after = await ReadAllAsync(image);
            moments.Add(new(operation, operation.RangeIn(before.Length), changes, file.Changes.Count, before, after));
        }

        if (closes)
        {
            await image.DisposeAsync();
        }

        return new(options, file, moments);
    }

    public static async Task<byte[]> ReadAllAsync(IBlockDevice device)
    {
        byte[] all = new byte[device.LengthBytes];
        (await device.ReadAsync(0, all)).ShouldBe(BlockStatus.Ok);
        return all;
    }

    private static OperationKind Kind(Random random) => random.Next(24) switch
    {
        < 13 => OperationKind.Write,
        < 15 => OperationKind.Zero,
        < 17 => OperationKind.ZeroAndUnmap,
        < 20 => OperationKind.Discard,
        < 21 => OperationKind.MakeEmpty,
        < 22 => OperationKind.Resize,
        _ => OperationKind.Flush,
    };
}
