using Colo.Blocks;

namespace Colo.Replication;

/// <summary>A secondary from its attach to its loss: the link, and what is known of its content.</summary>
internal sealed class Attachment(IReplicationLink link, ResyncMode mode, long lengthBytes)
{
    /// <summary>Grain of <see cref="Unsure"/>: small, because a guest's read waits for one of them.</summary>
    private const int UnsureGrainBytes = 64 << 10;

    private readonly CancellationTokenSource stop = new();

    public IReplicationLink Link { get; } = link;

    public ResyncMode Mode { get; } = mode;

    /// <summary>Holds everything that the local disk holds: may be read where the local disk fails.</summary>
    public bool IsReadable { get; set; } = mode != ResyncMode.Full;

    /// <summary>Recopy: grains that may differ, because they were in flight at the crash.</summary>
    public DirtyBitmap? Unsure { get; } = mode == ResyncMode.Recopy ? AllSet(lengthBytes) : null;

    /// <summary>Cancelled when the link is given up.</summary>
    public CancellationToken Stopped => stop.Token;

    public void Stop() => stop.Cancel();

    private static DirtyBitmap AllSet(long lengthBytes)
    {
        DirtyBitmap bitmap = new(lengthBytes, UnsureGrainBytes);
        bitmap.SetAll();
        return bitmap;
    }
}
