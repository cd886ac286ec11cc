using Colo.Blocks;
using Colo.Nbd.Handshake;
using Colo.Nbd.Wire;

namespace Colo.Nbd.Transmission;

/// <summary>
/// Judges a request before the device sees it (proto.md, "Request types" and "Error values"): what passes is in range, aligned,
/// permitted, and carries only flags that make sense.
/// </summary>
internal sealed class RequestRules
{
    private readonly ulong lengthBytes;
    private readonly ulong alignmentMask;
    private readonly bool isReadOnly;
    private readonly bool canDiscard;
    private readonly ReplyFormat format;
    private readonly bool baseAllocation;
    private readonly bool anyContext;
    private readonly bool checkpoint;

    public RequestRules(NegotiatedSession session)
    {
        DeviceCapabilities capabilities = session.Export.Device.Capabilities;
        lengthBytes = (ulong)session.Export.Device.LengthBytes;
        alignmentMask = (ulong)capabilities.MinimumBlockBytes - 1;
        isReadOnly = session.Export.IsReadOnly || capabilities.IsReadOnly;
        canDiscard = capabilities.CanDiscard;
        format = session.Format;
        baseAllocation = session.BaseAllocation;
        checkpoint = session.Checkpoint;
        anyContext = baseAllocation || checkpoint;
    }

    /// <summary>Ok, or how the request is refused; <paramref name="reason"/> then says why, for a person.</summary>
    public BlockStatus Check(in RequestHeader request, out ReadOnlySpan<byte> reason)
    {
        reason = default;
        switch (request.Command)
        {
            case NbdCommand.Read:
                return CheckFlags(request, NbdCommandFlags.Fua | DfIfStructured, ref reason) ?? CheckLength(request, ref reason)
                    ?? CheckRange(request, BlockStatus.InvalidArgument, ref reason);
            case NbdCommand.Write:
                return CheckWritable(ref reason) ?? CheckFlags(request, NbdCommandFlags.Fua | PayloadFlag, ref reason)
                    ?? CheckLength(request, ref reason) ?? CheckRange(request, BlockStatus.NoSpace, ref reason);
            case NbdCommand.WriteZeroes:
                return CheckWritable(ref reason)
                    ?? CheckFlags(request, NbdCommandFlags.Fua | NbdCommandFlags.NoHole | NbdCommandFlags.FastZero, ref reason)
                    ?? CheckRange(request, BlockStatus.NoSpace, ref reason);
            case NbdCommand.Trim:
                return CheckWritable(ref reason) ?? CheckTrimOffered(ref reason) ?? CheckFlags(request, NbdCommandFlags.Fua, ref reason)
                    ?? CheckRange(request, BlockStatus.InvalidArgument, ref reason);
            case NbdCommand.Cache:
                return CheckFlags(request, NbdCommandFlags.Fua, ref reason)
                    ?? CheckRange(request, BlockStatus.InvalidArgument, ref reason);
            case NbdCommand.Flush:
                return CheckFlags(request, NbdCommandFlags.Fua, ref reason) ?? CheckFlush(request, ref reason);
            case NbdCommand.BlockStatus:
                return CheckContexts(ref reason) ?? CheckFlags(request, NbdCommandFlags.Fua | NbdCommandFlags.ReqOne, ref reason)
                    ?? CheckNotEmpty(request, ref reason) ?? CheckRange(request, BlockStatus.InvalidArgument, ref reason);
            case NbdCommand.ColoCheckpoint when checkpoint:
                return CheckFlags(request, NbdCommandFlags.None, ref reason) ?? CheckEpoch(request, ref reason);
            default:
                reason = "unknown command"u8;
                return BlockStatus.InvalidArgument;
        }
    }

    private NbdCommandFlags DfIfStructured => format == ReplyFormat.Simple ? 0 : NbdCommandFlags.Df;

    private NbdCommandFlags PayloadFlag => format == ReplyFormat.Extended ? NbdCommandFlags.PayloadLength : 0;

    private static BlockStatus? CheckFlags(in RequestHeader request, NbdCommandFlags allowed, ref ReadOnlySpan<byte> reason)
    {
        if ((request.Flags & ~allowed) == 0)
        {
            return null;
        }

        reason = "a flag that this command does not take"u8;
        return BlockStatus.InvalidArgument;
    }

    private static BlockStatus? CheckLength(in RequestHeader request, ref ReadOnlySpan<byte> reason)
    {
        if (request.Length <= NbdLimits.MaxPayloadBytes)
        {
            return null;
        }

        reason = "longer than the maximum payload"u8;
        return BlockStatus.InvalidArgument;
    }

    private static BlockStatus? CheckNotEmpty(in RequestHeader request, ref ReadOnlySpan<byte> reason)
    {
        if (request.Length > 0)
        {
            return null;
        }

        reason = "block status of nothing"u8;
        return BlockStatus.InvalidArgument;
    }

    private static BlockStatus CheckFlush(in RequestHeader request, ref ReadOnlySpan<byte> reason)
    {
        if (request is { Offset: 0, Length: 0 })
        {
            return BlockStatus.Ok;
        }

        reason = "flush takes no range"u8;
        return BlockStatus.InvalidArgument;
    }

    private static BlockStatus CheckEpoch(in RequestHeader request, ref ReadOnlySpan<byte> reason)
    {
        if (request is { Length: 0, Offset: <= long.MaxValue })
        {
            return BlockStatus.Ok;
        }

        reason = "not an epoch"u8;
        return BlockStatus.InvalidArgument;
    }

    private BlockStatus? CheckWritable(ref ReadOnlySpan<byte> reason)
    {
        if (!isReadOnly)
        {
            return null;
        }

        reason = "the export is read-only"u8;
        return BlockStatus.NotPermitted;
    }

    private BlockStatus? CheckTrimOffered(ref ReadOnlySpan<byte> reason)
    {
        if (canDiscard)
        {
            return null;
        }

        reason = "trim was not offered"u8;
        return BlockStatus.InvalidArgument;
    }

    private BlockStatus? CheckContexts(ref ReadOnlySpan<byte> reason)
    {
        if (anyContext)
        {
            return null;
        }

        reason = "no meta context was selected"u8;
        return BlockStatus.InvalidArgument;
    }

    private BlockStatus CheckRange(in RequestHeader request, BlockStatus pastEnd, ref ReadOnlySpan<byte> reason)
    {
        if (request.Offset > lengthBytes || request.Length > lengthBytes - request.Offset)
        {
            reason = "past the end of the export"u8;
            return pastEnd;
        }

        if (((request.Offset | request.Length) & alignmentMask) != 0)
        {
            reason = "not aligned to the minimum block size"u8;
            return BlockStatus.InvalidArgument;
        }

        return BlockStatus.Ok;
    }
}
