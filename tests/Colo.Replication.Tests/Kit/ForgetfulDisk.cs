using Colo.Blocks;
using Colo.Testing;

namespace Colo.Replication.Tests.Kit;

/// <summary>A disk that can lose what was not flushed: each grain of its own, as a machine's death leaves them.</summary>
public sealed class ForgetfulDisk : IBlockDevice
{
    private readonly MemoryDisk disk;
    private readonly byte[] durable;

    public ForgetfulDisk(long lengthBytes)
    {
        disk = new MemoryDisk(lengthBytes);
        durable = new byte[lengthBytes];
    }

    public MemoryDisk Inner => disk;

    public long LengthBytes => disk.LengthBytes;

    public DeviceCapabilities Capabilities => disk.Capabilities;

    /// <summary>Any part of what was written since the last flush is gone.</summary>
    public void LoseUnflushed(Random random)
    {
        for (int grain = 0; grain < durable.Length; grain += 4096)
        {
            Span<byte> now = disk.Content.Slice(grain, 4096);
            if (!now.SequenceEqual(durable.AsSpan(grain, 4096)) && random.Next(2) == 0)
            {
                durable.AsSpan(grain, 4096).CopyTo(now);
            }
        }

        disk.Content.CopyTo(durable);
    }

    public ValueTask<BlockStatus> ReadAsync(long offsetBytes, Memory<byte> destination) => disk.ReadAsync(offsetBytes, destination);

    public ValueTask<BlockStatus> WriteAsync(long offsetBytes, ReadOnlyMemory<byte> source, RequestFlags flags = RequestFlags.None) =>
        disk.WriteAsync(offsetBytes, source, flags);

    public ValueTask<BlockStatus> WriteZeroesAsync(BlockRange range, RequestFlags flags = RequestFlags.None) => disk.WriteZeroesAsync(range, flags);

    public ValueTask<BlockStatus> DiscardAsync(BlockRange range, RequestFlags flags = RequestFlags.None) => disk.DiscardAsync(range, flags);

    public async ValueTask<BlockStatus> FlushAsync()
    {
        BlockStatus status = await disk.FlushAsync();
        if (status == BlockStatus.Ok)
        {
            disk.Content.CopyTo(durable);
        }

        return status;
    }

    public ValueTask<BlockStatus> GetExtentsAsync(BlockRange range, IList<BlockExtent> extents, int maxExtents = int.MaxValue) =>
        disk.GetExtentsAsync(range, extents, maxExtents);

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;
}
