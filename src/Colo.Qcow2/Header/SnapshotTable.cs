using System.Buffers.Binary;
using Colo.Blocks;

namespace Colo.Qcow2.Header;

/// <summary>One internal snapshot: only its L1 table matters here (it is kept, never read by guests of ours).</summary>
internal readonly record struct Snapshot(long L1Offset, int L1Entries);

/// <summary>Reads the table of internal snapshots (qcow2.txt, "Snapshots").</summary>
internal sealed record SnapshotTable(IReadOnlyList<Snapshot> Snapshots, long TableBytes)
{
    public const int MinimumEntryBytes = 40;

    /// <summary>QEMU's limit on the extra data of one snapshot.</summary>
    private const int MaximumExtraBytes = 1024;

    public static async ValueTask<SnapshotTable> ReadAsync(IImageFile file, Qcow2Header header)
    {
        List<Snapshot> snapshots = [];
        byte[] entry = new byte[MinimumEntryBytes];
        long at = header.SnapshotsOffset;
        for (int i = 0; i < header.SnapshotCount; i++)
        {
            BlockStatus status = await file.ReadAsync(at, entry);
            if (status != BlockStatus.Ok)
            {
                throw new Qcow2Exception(Qcow2Fault.Medium, file.Path, at, $"the snapshot table cannot be read: {status}");
            }

            (Snapshot snapshot, int entryBytes) = Parse(entry, file, at, 1L << header.ClusterBits);
            snapshots.Add(snapshot);
            at += entryBytes;
            if (at > file.LengthBytes + (1L << header.ClusterBits) || at - header.SnapshotsOffset > HeaderLayout.MaximumSnapshotTableBytes)
            {
                throw new Qcow2Exception(Qcow2Fault.OutOfFile, file.Path, at, $"snapshot {i} of {header.SnapshotCount} reaches past the file's end or the limit of 64 MiB for the table");
            }
        }

        return new(snapshots, at - header.SnapshotsOffset);
    }

    private static (Snapshot Snapshot, int Bytes) Parse(ReadOnlySpan<byte> entry, IImageFile file, long at, long clusterBytes)
    {
        ulong l1Offset = BinaryPrimitives.ReadUInt64BigEndian(entry);
        uint l1Entries = BinaryPrimitives.ReadUInt32BigEndian(entry[8..]);
        int idBytes = BinaryPrimitives.ReadUInt16BigEndian(entry[12..]);
        int nameBytes = BinaryPrimitives.ReadUInt16BigEndian(entry[14..]);
        uint extraBytes = BinaryPrimitives.ReadUInt32BigEndian(entry[36..]);
        if (extraBytes > MaximumExtraBytes)
        {
            throw new Qcow2Exception(Qcow2Fault.TooLarge, file.Path, at + 36, $"snapshot with {extraBytes} bytes of extra data; at most {MaximumExtraBytes} are allowed");
        }

        if (l1Entries > HeaderLayout.MaximumL1Entries)
        {
            throw new Qcow2Exception(Qcow2Fault.TooLarge, file.Path, at + 8, $"snapshot with an L1 table of {l1Entries} entries; at most {HeaderLayout.MaximumL1Entries} are allowed");
        }

        long fileEnd = file.LengthBytes + clusterBytes - 1;
        if (l1Entries > 0 && (l1Offset == 0 || l1Offset % (ulong)clusterBytes != 0 || l1Offset > (ulong)fileEnd || (long)l1Offset > fileEnd - (l1Entries * 8L)))
        {
            throw new Qcow2Exception(Qcow2Fault.OutOfFile, file.Path, at, $"snapshot with an L1 table at {l1Offset}, {l1Entries} entries; it must be aligned to clusters and inside the file of {file.LengthBytes} bytes");
        }

        int bytes = (MinimumEntryBytes + (int)extraBytes + idBytes + nameBytes + 7) & ~7;
        return (new((long)l1Offset, (int)l1Entries), bytes);
    }
}
