using System.Buffers.Binary;
using System.Text;
using Colo.Blocks;
using Colo.Nbd.Server;
using Colo.Nbd.Wire;

namespace Colo.Nbd.Handshake;

/// <summary>What an export says of itself: the data of NBD_REP_SERVER and NBD_REP_INFO.</summary>
internal static class InfoReplies
{
    /// <summary>A client that did not ask for block sizes may assume that 512 works (proto.md, "Block size constraints").</summary>
    private const int AssumedMinimumBlockBytes = 512;

    public static NbdTransmissionFlags TransmissionFlags(NbdExport export, ReplyFormat format)
    {
        DeviceCapabilities capabilities = export.Device.Capabilities;
        NbdTransmissionFlags flags = NbdTransmissionFlags.HasFlags | NbdTransmissionFlags.SendFlush | NbdTransmissionFlags.SendFua
            | NbdTransmissionFlags.SendCache;
        if (export.IsReadOnly || capabilities.IsReadOnly)
        {
            flags |= NbdTransmissionFlags.ReadOnly;
        }
        else
        {
            flags |= NbdTransmissionFlags.SendWriteZeroes | NbdTransmissionFlags.SendFastZero;
            flags |= capabilities.CanDiscard ? NbdTransmissionFlags.SendTrim : 0;
        }

        flags |= capabilities.FlushCoversAll ? NbdTransmissionFlags.CanMultiConn : 0;
        flags |= format != ReplyFormat.Simple ? NbdTransmissionFlags.SendDf : 0;
        return flags;
    }

    public static void RequireBlockSizeKnown(NbdExport export, InfoRequest request)
    {
        if (export.Device.Capabilities.MinimumBlockBytes > AssumedMinimumBlockBytes && !request.Wants(NbdInfo.BlockSize))
        {
            throw new OptionRefusedException(
                NbdOptionReply.ErrorBlockSizeRequired,
                $"requests must be multiples of {export.Device.Capabilities.MinimumBlockBytes}: ask for NBD_INFO_BLOCK_SIZE");
        }
    }

    public static byte[] Export(NbdExport export, ReplyFormat format)
    {
        byte[] data = new byte[12];
        BinaryPrimitives.WriteUInt16BigEndian(data, (ushort)NbdInfo.Export);
        BinaryPrimitives.WriteUInt64BigEndian(data.AsSpan(2), (ulong)export.Device.LengthBytes);
        BinaryPrimitives.WriteUInt16BigEndian(data.AsSpan(10), (ushort)TransmissionFlags(export, format));
        return data;
    }

    public static byte[] BlockSize(NbdExport export)
    {
        DeviceCapabilities capabilities = export.Device.Capabilities;
        byte[] data = new byte[14];
        BinaryPrimitives.WriteUInt16BigEndian(data, (ushort)NbdInfo.BlockSize);
        BinaryPrimitives.WriteUInt32BigEndian(data.AsSpan(2), (uint)capabilities.MinimumBlockBytes);
        uint preferred = (uint)Math.Max(capabilities.PreferredBlockBytes, Math.Max(AssumedMinimumBlockBytes, capabilities.MinimumBlockBytes));
        BinaryPrimitives.WriteUInt32BigEndian(data.AsSpan(6), preferred);
        BinaryPrimitives.WriteUInt32BigEndian(data.AsSpan(10), NbdLimits.MaxPayloadBytes);
        return data;
    }

    public static byte[] Text(NbdInfo item, string text)
    {
        byte[] data = new byte[2 + Encoding.UTF8.GetByteCount(text)];
        BinaryPrimitives.WriteUInt16BigEndian(data, (ushort)item);
        Encoding.UTF8.GetBytes(text, data.AsSpan(2));
        return data;
    }

    public static byte[] ListItem(NbdExport export)
    {
        int nameBytes = Encoding.UTF8.GetByteCount(export.Name);
        string description = export.Description ?? string.Empty;
        byte[] data = new byte[4 + nameBytes + Encoding.UTF8.GetByteCount(description)];
        BinaryPrimitives.WriteUInt32BigEndian(data, (uint)nameBytes);
        Encoding.UTF8.GetBytes(export.Name, data.AsSpan(4));
        Encoding.UTF8.GetBytes(description, data.AsSpan(4 + nameBytes));
        return data;
    }
}
