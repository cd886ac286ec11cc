using Colo.Blocks;
using CsCheck;

namespace Colo.Qcow2.Tests;

public class RandomHistoryTests
{
    private static readonly Gen<Operation> Operations = Gen.Select(
        Gen.Frequency(
            (12, Gen.Const(OperationKind.Write)),
            (2, Gen.Const(OperationKind.Zero)),
            (2, Gen.Const(OperationKind.ZeroAndUnmap)),
            (2, Gen.Const(OperationKind.Discard)),
            (2, Gen.Const(OperationKind.Reopen)),
            (1, Gen.Const(OperationKind.MakeEmpty)),
            (1, Gen.Const(OperationKind.Resize)),
            (1, Gen.Const(OperationKind.Flush))),
        Gen.Double.Unit,
        Gen.Double.Unit,
        Gen.Byte,
        (kind, position, size, fill) => new Operation(kind, position, size, fill));

    private static readonly Gen<Qcow2CreateOptions> Layouts = Gen.Select(
        Gen.Int[9, 17],
        Gen.Bool,
        Gen.Int[0, 6],
        Gen.Long[1, 400_000],
        Gen.Bool,
        (bits, extended, order, length, barriers) => new Qcow2CreateOptions
        {
            LengthBytes = length,
            ClusterBits = extended ? Math.Max(14, bits) : bits,
            ExtendedL2 = extended,
            RefcountOrder = order,
            Durability = barriers ? Qcow2Durability.PowerLoss : Qcow2Durability.ProcessDeath,
        });

    [Fact]
    public void Any_history_of_requests_leaves_what_an_array_would_hold() =>
        Gen.Select(Layouts, Operations.Array[1, 60]).Sample(
            (options, operations) => RunAsync(options, operations).GetAwaiter().GetResult(), iter: 250, threads: 2);

    private static async Task RunAsync(Qcow2CreateOptions options, Operation[] operations)
    {
        MemoryImageFile file = new() { Records = false };
        Qcow2Image image = await Qcow2Image.CreateAsync(file, options);
        Oracle oracle = new(options.LengthBytes);
        foreach (Operation operation in operations)
        {
            switch (operation.Kind)
            {
                case OperationKind.Reopen:
                    await image.DisposeAsync();
                    image = await Qcow2Image.OpenAsync(file, new() { Durability = options.Durability, MappingCacheBytes = 1 });
                    break;
                case OperationKind.Resize:
                    long length = Math.Min(image.LengthBytes + (long)(operation.Size * 50_000), 800_000);
                    BlockStatus resized = await image.ResizeAsync(Math.Max(length, image.LengthBytes));
                    resized.ShouldBe(BlockStatus.Ok);
                    oracle.Resize(image.LengthBytes);
                    break;
                default:
                    (await ApplyAsync(image, operation)).ShouldBe(BlockStatus.Ok, operation.ToString());
                    break;
            }

            byte[] now = new byte[image.LengthBytes];
            (await image.ReadAsync(0, now)).ShouldBe(BlockStatus.Ok);
            oracle.Apply(operation, now);
            int wrong = now.AsSpan().CommonPrefixLength(oracle.Content);
            wrong.ShouldBe(now.Length, $"first wrong byte after {operation}");
        }

        Check.Qcow2CheckReport report = await image.CheckAsync();
        report.IsClean.ShouldBeTrue(string.Join('\n', report.Messages));
        await image.DisposeAsync();
    }

    internal static async ValueTask<BlockStatus> ApplyAsync(IBlockDevice device, Operation operation)
    {
        BlockRange range = operation.RangeIn(device.LengthBytes);
        return operation.Kind switch
        {
            OperationKind.Write => await device.WriteAsync(range.Offset, Oracle.Pattern(range, operation.Fill)),
            OperationKind.Zero => await device.WriteZeroesAsync(range),
            OperationKind.ZeroAndUnmap => await device.WriteZeroesAsync(range, RequestFlags.MayUnmap),
            OperationKind.Discard => await device.DiscardAsync(range),
            OperationKind.MakeEmpty => await ((IOverlayDevice)device).MakeEmptyAsync(),
            OperationKind.Flush => await device.FlushAsync(),
            _ => BlockStatus.Ok,
        };
    }
}
