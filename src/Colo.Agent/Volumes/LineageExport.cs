using System.Buffers.Binary;
using System.Text.Json;
using Colo.Blocks;
using Colo.Nbd.Client;
using Colo.Replication;

namespace Colo.Agent.Volumes;

/// <summary>
/// A secondary's lineage as a small disk, so that two agents need no protocol beside NBD: a read shows the report, a write at 0 is the
/// primary's announcement and is answered when it is durable. An older agent has no such export, and gets a full copy.
/// </summary>
/// <remarks>Layout, little-endian: length of the JSON, 1 where a bitmap follows, the JSON; the bitmap from 64 KiB on. A read at 0 takes the
/// report that later reads go on with.</remarks>
internal sealed class LineageExport(SecondaryReplica replica, long diskBytes, Action<string> refused) : IBlockDevice
{
    private const int HeaderBytes = 8;
    private const int TextBytes = 64 << 10;
    private const int GrainBytes = 4096;

    private readonly SemaphoreSlim one = new(1);
    private byte[] shown = [];

    public long LengthBytes { get; } = TextBytes + Padded(new DirtyBitmap(diskBytes, GrainBytes).StoredBytes);

    public DeviceCapabilities Capabilities { get; } = new();

    public static string NameOf(string export) => export + "/lineage";

    /// <summary>Reads what the device of the other side shows.</summary>
    /// <exception cref="ReplicationException">it cannot be read, or is no lineage of this disk.</exception>
    public static async Task<LineageReport> ReadReportAsync(IBlockDevice device, long diskBytes)
    {
        byte[] text = new byte[TextBytes];
        Require(await device.ReadAsync(0, text.AsMemory()), "reading the secondary's lineage");
        try
        {
            LineageRecord record = LineageJson.Read(TextOf(text));
            if (BinaryPrimitives.ReadInt32LittleEndian(text.AsSpan(4)) == 0)
            {
                return new(record, null);
            }

            DirtyBitmap dirty = new(diskBytes, GrainBytes);
            byte[] bits = new byte[dirty.StoredBytes];
            for (int at = 0; at < bits.Length; at += TextBytes * 16)
            {
                Memory<byte> piece = bits.AsMemory(at, Math.Min(TextBytes * 16, bits.Length - at));
                Require(await device.ReadAsync(TextBytes + at, piece), "reading the secondary's map");
            }

            dirty.UnionWith(bits.AsSpan());
            return new(record, dirty);
        }
        catch (JsonException e)
        {
            throw new ReplicationException(ReplicationFault.Failed, $"what the secondary shows is no lineage: {e.Message}", inner: e);
        }
    }

    public static async Task AnnounceAsync(IBlockDevice device, LineageAnnouncement announcement)
    {
        byte[] json = LineageJson.Write(announcement);
        byte[] text = new byte[GrainBytes];
        BinaryPrimitives.WriteInt32LittleEndian(text, json.Length);
        json.CopyTo(text, HeaderBytes);
        Require(await device.WriteAsync(0, text), "the announcement to the secondary");
    }

    public async ValueTask<BlockStatus> ReadAsync(long offsetBytes, Memory<byte> destination)
    {
        BlockStatus status = this.CheckRead(offsetBytes, destination.Length);
        if (status != BlockStatus.Ok)
        {
            return status;
        }

        await one.WaitAsync();
        try
        {
            if (offsetBytes == 0)
            {
                shown = Compose(replica.ReportLineage());
            }

            int from = (int)Math.Min(offsetBytes, shown.Length);
            int length = Math.Min(destination.Length, shown.Length - from);
            shown.AsSpan(from, length).CopyTo(destination.Span);
            destination.Span[length..].Clear();
            return BlockStatus.Ok;
        }
        finally
        {
            one.Release();
        }
    }

    public async ValueTask<BlockStatus> WriteAsync(long offsetBytes, ReadOnlyMemory<byte> source, RequestFlags flags = RequestFlags.None)
    {
        if (offsetBytes != 0 || source.Length is < HeaderBytes or > TextBytes)
        {
            return BlockStatus.InvalidArgument;
        }

        try
        {
            await replica.AnnounceAsync(LineageJson.ReadAnnouncement(TextOf(source.Span)));
            return BlockStatus.Ok;
        }
        catch (Exception e) when (e is JsonException or ReplicationException or IOException)
        {
            refused(e.Message);
            return BlockStatus.IoError;
        }
    }

    public ValueTask<BlockStatus> WriteZeroesAsync(BlockRange range, RequestFlags flags = RequestFlags.None) => new(BlockStatus.NotSupported);

    public ValueTask<BlockStatus> DiscardAsync(BlockRange range, RequestFlags flags = RequestFlags.None) => new(BlockStatus.NotSupported);

    public ValueTask<BlockStatus> FlushAsync() => new(BlockStatus.Ok);

    public ValueTask<BlockStatus> GetExtentsAsync(BlockRange range, IList<BlockExtent> extents, int maxExtents = int.MaxValue)
    {
        extents.Add(new(range, ExtentKind.Data));
        return new(BlockStatus.Ok);
    }

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;

    private static byte[] Compose(LineageReport? report)
    {
        // What only the primary itself needs stays at home: it has no bound but the disk's.
        byte[] json = LineageJson.Write((report?.Record ?? LineageRecord.Empty) with { Suspects = [], AtRisk = [] });
        byte[] all = new byte[TextBytes + (report?.Dirty?.StoredBytes ?? 0)];
        BinaryPrimitives.WriteInt32LittleEndian(all, json.Length);
        BinaryPrimitives.WriteInt32LittleEndian(all.AsSpan(4), report?.Dirty is null ? 0 : 1);
        json.CopyTo(all, HeaderBytes);
        report?.Dirty?.CopyTo(all.AsSpan(TextBytes));
        return all;
    }

    private static ReadOnlySpan<byte> TextOf(ReadOnlySpan<byte> text)
    {
        int length = BinaryPrimitives.ReadInt32LittleEndian(text);
        return length >= 0 && length <= text.Length - HeaderBytes
            ? text.Slice(HeaderBytes, length)
            : throw new JsonException($"a length of {length} bytes");
    }

    private static long Padded(long bytes) => (bytes + GrainBytes - 1) / GrainBytes * GrainBytes;

    private static void Require(BlockStatus status, string what)
    {
        if (status != BlockStatus.Ok)
        {
            throw new ReplicationException(ReplicationFault.Failed, $"{what} was answered {status}; its log says why");
        }
    }
}
