using Colo.Blocks;

namespace Colo.Replication;

/// <summary>A secondary from its attach to its loss: the link, and what is known of its content.</summary>
internal sealed class Attachment(IReplicationLink link, ResyncDecision decision, long lengthBytes, ReplicaLineage? lineage)
{
    /// <summary>Grain of <see cref="Unsure"/>: small, because a guest's read waits for one of them.</summary>
    private const int UnsureGrainBytes = 64 << 10;

    private readonly CancellationTokenSource stop = new();
    private readonly DirtyBitmap? everything =
        lineage is null && decision.Mode == ResyncMode.Full ? Of(extents: null, lengthBytes) : null;

    public IReplicationLink Link { get; } = link;

    public ResyncMode Mode { get; } = decision.Mode;

    /// <summary>What tells this attachment from a later one, for the lineage's map.</summary>
    public long Number { get; } = lineage?.CurrentAttachment ?? 0;

    /// <summary>What is to be copied. Bits of the lineage's own map are cleared by it alone, after the target's durable answer.</summary>
    public DirtyBitmap? ToCopy => Mode switch
    {
        ResyncMode.Recopy => Unsure,
        ResyncMode.Full or ResyncMode.Bitmap => lineage?.Dirty ?? everything,
        _ => null,
    };

    /// <summary>Holds everything that the local disk holds: may be read where the local disk fails.</summary>
    public bool IsReadable { get; set; } = decision.Mode is ResyncMode.None or ResyncMode.Recopy;

    /// <summary>Recopy: grains that may differ, because they were in flight at the crash.</summary>
    public DirtyBitmap? Unsure { get; } =
        decision.Mode == ResyncMode.Recopy ? Of(decision.Unsure, lengthBytes) : null;

    /// <summary>Cancelled when the link is given up.</summary>
    public CancellationToken Stopped => stop.Token;

    public void Stop() => stop.Cancel();

    /// <param name="extents">Of the activity log; null: all.</param>
    /// <param name="lengthBytes">Of the device.</param>
    private static DirtyBitmap Of(IReadOnlyList<int>? extents, long lengthBytes)
    {
        DirtyBitmap bitmap = new(lengthBytes, UnsureGrainBytes);
        if (extents is null)
        {
            bitmap.SetAll();
        }

        foreach (int extent in extents ?? [])
        {
            bitmap.Set(ActivityLog.RangeOf(extent, lengthBytes));
        }

        return bitmap;
    }
}
