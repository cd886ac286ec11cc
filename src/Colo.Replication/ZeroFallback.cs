using Colo.Blocks;

namespace Colo.Replication;

/// <summary>Zeroes a range also on a device (a foreign NBD server) that has no write-zeroes: by writing zero bytes.</summary>
internal static class ZeroFallback
{
    private const int PieceBytes = 256 << 10;

    private static readonly byte[] Zeroes = new byte[PieceBytes];

    public static async ValueTask<BlockStatus> WriteZeroesAsync(IBlockDevice device, BlockRange range, RequestFlags flags)
    {
        BlockStatus status = await device.WriteZeroesAsync(range, flags);
        return status == BlockStatus.NotSupported ? await WriteBytesAsync(device, range, flags) : status;
    }

    public static async ValueTask<BlockStatus> WriteBytesAsync(IBlockDevice device, BlockRange range, RequestFlags flags)
    {
        RequestFlags writeFlags = flags & RequestFlags.ForceUnitAccess;
        for (long offset = range.Offset; offset < range.End; offset += PieceBytes)
        {
            int length = (int)Math.Min(PieceBytes, range.End - offset);
            BlockStatus status = await device.WriteAsync(offset, Zeroes.AsMemory(0, length), writeFlags);
            if (status != BlockStatus.Ok)
            {
                return status;
            }
        }

        return BlockStatus.Ok;
    }
}
