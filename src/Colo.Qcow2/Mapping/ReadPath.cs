using Colo.Blocks;
using Colo.Qcow2.Tables;

namespace Colo.Qcow2.Mapping;

/// <summary>Reads and reports what is mapped. Look-ups take no lock; data goes straight into the caller's buffer.</summary>
internal sealed class ReadPath(ImageState image)
{
    /// <param name="below">Where holes are read from; null: they read as zeroes, as does what lies past its end.</param>
    public async ValueTask<BlockStatus> ReadAsync(long offset, Memory<byte> destination, IBlockDevice? below)
    {
        await image.Gate.EnterSharedAsync();
        try
        {
            while (destination.Length > 0)
            {
                MappedRun run = image.Mapping.Find(offset, destination.Length);
                int length = (int)run.LengthBytes;
                BlockStatus status = run.Kind switch
                {
                    RunKind.Data => await image.File.ReadAsync(run.HostOffset, destination[..length]),
                    RunKind.NotLoaded => await LoadAsync(offset),
                    RunKind.Hole when below is not null => await ReadBelowAsync(below, offset, destination[..length]),
                    _ => Clear(destination[..length]),
                };
                if (status != BlockStatus.Ok)
                {
                    return status;
                }

                if (run.Kind != RunKind.NotLoaded)
                {
                    offset += length;
                    destination = destination[length..];
                }
            }

            return BlockStatus.Ok;
        }
        finally
        {
            image.Gate.ExitShared();
        }
    }

    /// <summary>As <see cref="IBlockDevice.GetExtentsAsync"/> for this layer alone.</summary>
    public async ValueTask<BlockStatus> GetExtentsAsync(BlockRange range, IList<BlockExtent> extents, int maxExtents)
    {
        await image.Gate.EnterSharedAsync();
        try
        {
            ExtentMerger merger = new(extents, maxExtents);
            long at = range.Offset;
            while (at < range.End)
            {
                MappedRun run = image.Mapping.Find(at, range.End - at);
                if (run.Kind == RunKind.NotLoaded)
                {
                    BlockStatus status = await LoadAsync(at);
                    if (status != BlockStatus.Ok)
                    {
                        return status;
                    }

                    continue;
                }

                if (!merger.Add(new(at, run.LengthBytes), KindOf(run.Kind)))
                {
                    break;
                }

                at += run.LengthBytes;
            }

            merger.Finish();
            return BlockStatus.Ok;
        }
        finally
        {
            image.Gate.ExitShared();
        }
    }

    /// <summary>Reads from a device that may be shorter than this image.</summary>
    public static async ValueTask<BlockStatus> ReadBelowAsync(IBlockDevice below, long offset, Memory<byte> destination)
    {
        int there = (int)Math.Clamp(below.LengthBytes - offset, 0, destination.Length);
        destination.Span[there..].Clear();
        return there == 0 ? BlockStatus.Ok : await below.ReadAsync(offset, destination[..there]);
    }

    private static ExtentKind KindOf(RunKind kind) => kind switch
    {
        RunKind.Data => ExtentKind.Data,
        RunKind.Zero => ExtentKind.Zero,
        _ => ExtentKind.Hole | ExtentKind.Zero,
    };

    private static BlockStatus Clear(Memory<byte> destination)
    {
        destination.Span.Clear();
        return BlockStatus.Ok;
    }

    private async ValueTask<BlockStatus> LoadAsync(long offset)
    {
        await image.Lock.EnterAsync();
        try
        {
            return (await image.SliceAsync(offset)).Status;
        }
        finally
        {
            image.Lock.Exit();
        }
    }
}
