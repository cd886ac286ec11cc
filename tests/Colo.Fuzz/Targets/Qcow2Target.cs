using Colo.Blocks;
using Colo.Qcow2;
using Colo.Qcow2.Check;

namespace Colo.Fuzz.Targets;

/// <summary>
/// A qcow2 image from anywhere: opened, checked, read, written, emptied. It is refused with a <see cref="Qcow2Exception"/> or served
/// within its bounds; an image that checks clean before our writes checks clean behind them, and gives back what was written.
/// </summary>
internal sealed class Qcow2Target : IFuzzTarget
{
    public const string TargetName = "qcow2";

    private const int PieceBytes = 40_000;

    private long opened;
    private long clean;

    public string Name => TargetName;

    public string Summary => $"{opened} opened, {clean} of them clean and written to";

    public void Run(byte[] input) => RunAsync(input).GetAwaiter().GetResult();

    public void Dispose()
    {
        // Holds nothing between two runs.
    }

    private async Task RunAsync(byte[] input)
    {
        try
        {
            bool isClean;
            await using (Qcow2Image image = await Qcow2Image.OpenAsync(new MemoryImageFile(input, readOnly: true), new() { ReadOnly = true }))
            {
                opened++;
                await ReadAsync(image);
                isClean = (await image.CheckAsync()).IsClean;
            }

            await WriteAsync(new MemoryImageFile(input, readOnly: false), isClean);
        }
        catch (Qcow2Exception)
        {
            // A refusal that says what is wrong and where: what a broken image is owed.
        }
    }

    private static async Task ReadAsync(Qcow2Image image)
    {
        byte[] piece = new byte[(int)Math.Min(PieceBytes, image.LengthBytes)];
        long last = image.LengthBytes - piece.Length;
        List<BlockExtent> extents = [];
        foreach (long offset in new[] { 0, last / 3, last / 2, last })
        {
            await image.ReadAsync(offset, piece);
            extents.Clear();
            BlockRange range = new(offset, piece.Length);
            if (!range.IsEmpty && await image.GetExtentsAsync(range, extents) == BlockStatus.Ok)
            {
                RequirePrefix(range, extents);
            }
        }

        BlockStatus pastEnd = await image.ReadAsync(image.LengthBytes, new byte[1]);
        Require(pastEnd == BlockStatus.InvalidArgument, $"a read past the end answers {pastEnd}");
    }

    private async Task WriteAsync(MemoryImageFile file, bool isClean)
    {
        await using Qcow2Image image = await Qcow2Image.OpenAsync(file);
        byte[] written = new byte[(int)Math.Min(5000, image.LengthBytes)];
        written.AsSpan().Fill(0xa5);
        byte[] read = new byte[written.Length];
        long last = image.LengthBytes - written.Length;
        foreach (long offset in new[] { 0, last / 2, last })
        {
            BlockStatus status = await image.WriteAsync(offset, written);
            if (status == BlockStatus.Ok && isClean)
            {
                status = await image.ReadAsync(offset, read);
                Require(status == BlockStatus.Ok && read.AsSpan().SequenceEqual(written), $"written, but read back {status}");
            }

            await image.WriteZeroesAsync(new BlockRange(offset, written.Length / 2), RequestFlags.MayUnmap);
            await image.DiscardAsync(new BlockRange(offset, written.Length / 3));
        }

        await image.FlushAsync();
        if (isClean)
        {
            clean++;
            Qcow2CheckReport report = await image.CheckAsync();
            Require(report.Corruptions == 0, "a clean image is corrupt behind our writes: " + string.Join("; ", report.Messages));
            if (await image.MakeEmptyAsync() == BlockStatus.Ok && written.Length > 0)
            {
                Require(await image.ReadAsync(0, read) == BlockStatus.Ok && read.AsSpan().IsAllZero(), "emptied, but not empty");
            }
        }
    }

    private static void RequirePrefix(BlockRange range, List<BlockExtent> extents)
    {
        long at = range.Offset;
        foreach (BlockExtent extent in extents)
        {
            Require(extent.Range.Offset == at && !extent.Range.IsEmpty && extent.Range.End <= range.End, $"extents of {range} have a gap at {at}");
            at = extent.Range.End;
        }

        Require(extents.Count > 0, $"no extents for {range}");
    }

    private static void Require(bool holds, string what)
    {
        if (!holds)
        {
            throw new FuzzFailureException(what);
        }
    }
}
