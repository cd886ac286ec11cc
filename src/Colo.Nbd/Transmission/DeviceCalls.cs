using System.Buffers;
using System.Diagnostics;
using Colo.Blocks;
using Colo.Nbd.Handshake;
using Colo.Nbd.Server;
using Colo.Nbd.Wire;
using Microsoft.Extensions.Logging;

namespace Colo.Nbd.Transmission;

/// <summary>
/// What each command means to the device. Takes only requests that passed <see cref="RequestRules"/>; knows nothing of buffers, replies
/// and waiting. Called by the session's thread alone, except <see cref="Threw"/>.
/// </summary>
internal sealed class DeviceCalls(NegotiatedSession negotiated, ILogger logger)
{
    /// <summary>A prefetch reads in pieces of this size and keeps nothing.</summary>
    private const int CachePieceBytes = 256 << 10;

    private readonly IBlockDevice device = negotiated.Export.Device;
    private readonly NbdExport export = negotiated.Export;

    /// <summary>What a block status request fills.</summary>
    public List<BlockExtent> Extents { get; private set; } = [];

    /// <summary>Completed already where the device answers at once. A throwing device is one that answers IoError.</summary>
    public ValueTask<BlockStatus> Begin(in RequestHeader request, Memory<byte> data)
    {
        RequestFlags flags = (request.Flags & NbdCommandFlags.Fua) != 0 ? RequestFlags.ForceUnitAccess : RequestFlags.None;
        long offset = (long)request.Offset;
        try
        {
            switch (request.Command)
            {
                case NbdCommand.Flush:
                    return device.FlushAsync();
                case NbdCommand.ColoCheckpoint:
                    return export.Checkpoint!(offset);
                case var _ when request.Length == 0:
                    return new(BlockStatus.Ok);
                case NbdCommand.Read:
                    return device.ReadAsync(offset, data);
                case NbdCommand.Write:
                    return device.WriteAsync(offset, data, flags);
                case NbdCommand.WriteZeroes:
                    return device.WriteZeroesAsync(new(offset, (long)request.Length), flags | ZeroFlags(request.Flags));
                case NbdCommand.Trim:
                    return device.DiscardAsync(new(offset, (long)request.Length), flags);
                case NbdCommand.Cache:
                    return CacheAsync(offset, (long)request.Length);
                case NbdCommand.BlockStatus:
                    return GetExtents(request);
                default:
                    throw new UnreachableException($"{request.Command} passed the rules");
            }
        }
        catch (Exception e) when (e is not UnreachableException)
        {
            return new(Threw(request, e));
        }
    }

    /// <summary>Of a completed call.</summary>
    public BlockStatus Result(in RequestHeader request, ValueTask<BlockStatus> call)
    {
        try
        {
            return call.GetAwaiter().GetResult();
        }
        catch (Exception e)
        {
            return Threw(request, e);
        }
    }

    /// <summary>For a block status request that waits: the list is its own from here on.</summary>
    public List<BlockExtent> TakeExtents()
    {
        List<BlockExtent> taken = Extents;
        Extents = [];
        return taken;
    }

    /// <summary>The device broke its contract; the client gets EIO and we tell whoever must mend it.</summary>
    public BlockStatus Threw(in RequestHeader request, Exception e)
    {
        NbdServerLog.DeviceThrew(logger, export.Name, request.Command, (long)request.Offset, e);
        return BlockStatus.IoError;
    }

    private static RequestFlags ZeroFlags(NbdCommandFlags flags) =>
        ((flags & NbdCommandFlags.NoHole) == 0 ? RequestFlags.MayUnmap : 0)
        | ((flags & NbdCommandFlags.FastZero) != 0 ? RequestFlags.FastOnly : 0);

    private ValueTask<BlockStatus> GetExtents(in RequestHeader request)
    {
        Extents.Clear();
        BlockRange range = new((long)request.Offset, (long)request.Length);
        if (!negotiated.BaseAllocation)
        {
            return new(BlockStatus.Ok);
        }

        bool one = (request.Flags & NbdCommandFlags.ReqOne) != 0;
        return device.GetExtentsAsync(range, Extents, one ? 1 : NbdLimits.MaxExtents);
    }

    /// <summary>A prefetch: whatever cache the device has is filled by reading. A hint, so what is too much is left out.</summary>
    private async ValueTask<BlockStatus> CacheAsync(long offsetBytes, long lengthBytes)
    {
        byte[] sink = ArrayPool<byte>.Shared.Rent(CachePieceBytes);
        try
        {
            long end = offsetBytes + Math.Min(lengthBytes, NbdLimits.MaxPayloadBytes);
            while (offsetBytes < end)
            {
                int piece = (int)Math.Min(CachePieceBytes, end - offsetBytes);
                BlockStatus status = await device.ReadAsync(offsetBytes, sink.AsMemory(0, piece));
                if (status != BlockStatus.Ok)
                {
                    return status;
                }

                offsetBytes += piece;
            }

            return BlockStatus.Ok;
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(sink);
        }
    }
}
