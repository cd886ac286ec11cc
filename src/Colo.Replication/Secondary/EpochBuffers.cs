using Colo.Blocks;

namespace Colo.Replication;

/// <summary>
/// The hidden and the active disk of one epoch, and in memory which grains each of them holds. Bits are set, never cleared: an epoch
/// ends by dropping the whole.
/// </summary>
internal sealed class EpochBuffers
{
    private int highWaterTold;
    private int fullTold;

    private EpochBuffers(EpochOverlays pair)
    {
        Pair = pair;
        Copied = new DirtyBitmap(pair.Hidden.LengthBytes, pair.Hidden.GrainBytes);
        Written = new DirtyBitmap(pair.Active.LengthBytes, pair.Active.GrainBytes);
    }

    public EpochOverlays Pair { get; }

    public IOverlayDevice Hidden => Pair.Hidden;

    public IOverlayDevice Active => Pair.Active;

    /// <summary>Grains whose old content the hidden disk holds. A bit is set before the overwrite of its grain begins.</summary>
    public DirtyBitmap Copied { get; }

    /// <summary>Grains that the active disk holds.</summary>
    public DirtyBitmap Written { get; }

    /// <summary>First touches of overlapping grains wait for the one copy.</summary>
    public RangeLock Copying { get; } = new();

    /// <summary>Fills of partly written grains of the active disk.</summary>
    public RangeLock Filling { get; } = new();

    /// <summary>Whoever waits for room waits for this: the epoch is over.</summary>
    public TaskCompletionSource Ended { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public long AllocatedBytes => Hidden.AllocatedBytes + Active.AllocatedBytes;

    public static EpochBuffers Fresh(EpochOverlays pair) => new(pair);

    /// <summary>What a previous process left: the overlays' own mapping says which grains they hold.</summary>
    public static async ValueTask<EpochBuffers> AdoptAsync(EpochOverlays pair)
    {
        EpochBuffers buffers = new(pair);
        await MarkAsync(pair.Hidden, buffers.Copied);
        await MarkAsync(pair.Active, buffers.Written);
        return buffers;
    }

    /// <summary>True the first time in this epoch.</summary>
    public bool TellHighWater() => Interlocked.Exchange(ref highWaterTold, 1) == 0;

    public bool TellFull() => Interlocked.Exchange(ref fullTold, 1) == 0;

    private static async ValueTask MarkAsync(IOverlayDevice overlay, DirtyBitmap held)
    {
        const int Batch = 4096;
        List<BlockExtent> extents = [];
        long offset = 0;
        while (offset < overlay.LengthBytes)
        {
            extents.Clear();
            BlockStatus status = await overlay.GetExtentsAsync(BlockRange.FromTo(offset, overlay.LengthBytes), extents, Batch);
            if (status != BlockStatus.Ok || extents.Count == 0)
            {
                throw new ReplicationException(
                    ReplicationFault.Failed, $"a buffer of a previous process cannot be read at {offset}: {status}");
            }

            foreach (BlockExtent extent in extents)
            {
                if ((extent.Kind & ExtentKind.Hole) == 0)
                {
                    held.Set(extent.Range);
                }

                offset = extent.Range.End;
            }
        }
    }
}
