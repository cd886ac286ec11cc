namespace Colo.Blocks;

/// <summary>A request failed where the caller has no use for a status (set-up, tests).</summary>
public sealed class BlockIoException(BlockStatus status, string request, BlockRange range)
    : IOException($"{request} of {range}: {status}")
{
    public BlockStatus Status { get; } = status;

    public BlockRange Range { get; } = range;
}
