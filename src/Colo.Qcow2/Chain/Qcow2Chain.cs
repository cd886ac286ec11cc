using Colo.Blocks;
using Colo.Qcow2.Chain;
using Colo.Qcow2.Mapping;

namespace Colo.Qcow2;

/// <summary>
/// An image over its backing device, as a guest sees it: what the image does not hold is read from below (zeroes past the end of
/// the backing device); writes go to the image, with the rest of a partly written grain copied up. Owns both.
/// </summary>
public sealed class Qcow2Chain : IBlockDevice
{
    private readonly ZeroMode discardMode;

    private Qcow2Chain(Qcow2Image top, IBlockDevice? backing)
    {
        Top = top;
        BackingDevice = backing;
        discardMode = backing is null ? ZeroMode.DiscardToHole : ZeroMode.DiscardToZero;
        top.AllowSuspension();
    }

    public Qcow2Image Top { get; }

    public IBlockDevice? BackingDevice { get; }

    public long LengthBytes => Top.LengthBytes;

    public DeviceCapabilities Capabilities => Top.Capabilities;

    /// <summary>Stacks an image over any device, whatever its header names.</summary>
    public static Qcow2Chain Compose(Qcow2Image top, IBlockDevice? backing) => new(top, backing);

    /// <summary>
    /// Opens an image file and everything that it names below itself. The layers below are opened read-only, except by
    /// <paramref name="writableBacking"/> the first of them, for <see cref="CommitAsync"/>.
    /// </summary>
    /// <exception cref="Qcow2Exception">an image of the chain is refused, or the chain ends badly.</exception>
    public static ValueTask<Qcow2Chain> OpenAsync(string path, Qcow2OpenOptions? options = null, bool writableBacking = false) =>
        ChainOpener.OpenAsync(path, options ?? new Qcow2OpenOptions(), writableBacking);

    public ValueTask<BlockStatus> ReadAsync(long offsetBytes, Memory<byte> destination) =>
        Top.ReadAsync(offsetBytes, destination, BackingDevice);

    public ValueTask<BlockStatus> WriteAsync(long offsetBytes, ReadOnlyMemory<byte> source, RequestFlags flags = RequestFlags.None) =>
        Top.WriteAsync(offsetBytes, source, flags, BackingDevice);

    public ValueTask<BlockStatus> WriteZeroesAsync(BlockRange range, RequestFlags flags = RequestFlags.None) =>
        Top.WriteZeroesAsync(range, flags, BackingDevice);

    public ValueTask<BlockStatus> DiscardAsync(BlockRange range, RequestFlags flags = RequestFlags.None) =>
        Top.DiscardAsync(range, flags, discardMode);

    public ValueTask<BlockStatus> FlushAsync() => Top.FlushAsync();

    public async ValueTask<BlockStatus> GetExtentsAsync(BlockRange range, IList<BlockExtent> extents, int maxExtents = int.MaxValue)
    {
        List<BlockExtent> own = [];
        BlockStatus status = await Top.GetExtentsAsync(range, own, maxExtents);
        ExtentMerger merger = new(extents, maxExtents);
        foreach (BlockExtent extent in own)
        {
            if (status != BlockStatus.Ok)
            {
                break;
            }

            if ((extent.Kind & ExtentKind.Hole) == 0 || BackingDevice is null)
            {
                if (!merger.Add(extent.Range, extent.Kind))
                {
                    break;
                }

                continue;
            }

            (status, bool all) = await AddBelowAsync(merger, extent.Range, maxExtents);
            if (!all)
            {
                break;
            }
        }

        merger.Finish();
        return status;
    }

    /// <summary>
    /// Writes what the image holds into the backing device (grown first where it is a shorter qcow2 image), flushes it, and empties
    /// the image. A kill in between is harmless: the image still holds what was copied. NoSpace, with nothing changed, where a
    /// backing device that cannot grow is too short; NotPermitted where it, or the image, is read-only.
    /// </summary>
    public ValueTask<BlockStatus> CommitAsync() =>
        BackingDevice is null ? new(BlockStatus.InvalidArgument) : new ChainCommit(Top, BackingDevice).RunAsync();

    public async ValueTask DisposeAsync()
    {
        await Top.DisposeAsync();
        if (BackingDevice is not null)
        {
            await BackingDevice.DisposeAsync();
        }
    }

    private async ValueTask<(BlockStatus Status, bool All)> AddBelowAsync(ExtentMerger merger, BlockRange hole, int maxExtents)
    {
        long at = hole.Offset;
        long end = Math.Min(hole.End, BackingDevice!.LengthBytes);
        List<BlockExtent> below = [];
        while (at < end)
        {
            below.Clear();
            BlockStatus status = await BackingDevice.GetExtentsAsync(BlockRange.FromTo(at, end), below, maxExtents);
            if (status != BlockStatus.Ok)
            {
                return (status, false);
            }

            foreach (BlockExtent extent in below)
            {
                if (!merger.Add(extent.Range, extent.Kind))
                {
                    return (BlockStatus.Ok, false);
                }

                at = extent.Range.End;
            }
        }

        bool all = at >= hole.End || merger.Add(BlockRange.FromTo(at, hole.End), ExtentKind.Hole | ExtentKind.Zero);
        return (BlockStatus.Ok, all);
    }
}
