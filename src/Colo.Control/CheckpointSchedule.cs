using Colo.Api;

namespace Colo.Control;

/// <summary>Says when a checkpoint is due: asked for, by time, or because the buffer fills.</summary>
public static class CheckpointSchedule
{
    /// <summary>Of the limit: leaves room for the writes that arrive until the checkpoint has happened.</summary>
    public const double HighWater = 0.75;

    /// <summary>A checkpoint under pressure that failed is not repeated in every round.</summary>
    public static readonly TimeSpan ShortestGap = TimeSpan.FromMilliseconds(500);

    /// <returns>The reason; null: not due.</returns>
    public static string? Due(ReplicatedVolumeSpec spec, bool asked, ReplicaView primary, ReplicaView secondary)
    {
        if (asked)
        {
            return "asked for";
        }

        if (primary.Checkpoints == 0 && primary.SinceCheckpoint >= ShortestGap)
        {
            return "the first of this term";
        }

        long buffered = Math.Max(primary.BufferedBytes, secondary.BufferedBytes);
        long limit = Math.Max(primary.BufferLimitBytes, secondary.BufferLimitBytes);
        bool pressed = secondary.CheckpointWanted || (limit > 0 && buffered >= limit * HighWater);
        if (pressed && spec.Buffer.OnFull == BufferFullPolicy.Checkpoint && primary.SinceCheckpoint >= ShortestGap)
        {
            return $"the buffer holds {new ByteQuantity(buffered).ToDisplayString()} of {new ByteQuantity(limit).ToDisplayString()}";
        }

        TimeSpan interval = spec.Checkpoint.Interval;
        return interval > TimeSpan.Zero && primary.SinceCheckpoint >= interval
            ? $"{primary.SinceCheckpoint.TotalSeconds:0} s since the last one"
            : null;
    }
}
