namespace Colo.Replication;

/// <summary>A completed checkpoint.</summary>
/// <param name="Epoch">The epoch that it closed.</param>
/// <param name="Pause">For how long new guest writes (primary) or forwards (secondary) were held; zero where it went in order.</param>
/// <param name="Total">From the call to the secondary's answer.</param>
/// <param name="When">Of the end.</param>
public sealed record CheckpointReport(long Epoch, TimeSpan Pause, TimeSpan Total, DateTimeOffset When);

public enum CheckpointReason
{
    /// <summary>The buffer is filled to its high-water mark.</summary>
    HighWater,

    /// <summary>The buffer is full: writes wait for the checkpoint, for a bounded time.</summary>
    BufferFull,
}
