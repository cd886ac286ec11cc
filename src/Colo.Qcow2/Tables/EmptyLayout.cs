using System.Buffers.Binary;
using Colo.Blocks;

namespace Colo.Qcow2.Tables;

/// <summary>
/// Where the tables of an image without data lie: from cluster <see cref="Start"/> on the refcount table, the refcount blocks that
/// describe all of this, and a zeroed L1 table, without gaps. Used for new images, for emptying, and (without L1) to grow a refcount table.
/// </summary>
internal sealed class EmptyLayout
{
    private readonly List<long> blockIndices;

    private EmptyLayout(long start, int tableClusters, List<long> blockIndices, int l1Clusters, bool describesHeader)
    {
        Start = start;
        TableClusters = tableClusters;
        this.blockIndices = blockIndices;
        L1Clusters = l1Clusters;
        DescribesHeader = describesHeader;
    }

    public long Start { get; }

    public int TableClusters { get; }

    public int L1Clusters { get; }

    public long Clusters => TableClusters + blockIndices.Count + L1Clusters;

    private bool DescribesHeader { get; }

    public static EmptyLayout ForImage(Geometry geometry, long start, int l1Clusters) =>
        Solve(geometry, start, minimumTableClusters: 1, l1Clusters, describesHeader: true);

    public static EmptyLayout ForTable(Geometry geometry, long start, int tableClusters) =>
        Solve(geometry, start, tableClusters, l1Clusters: 0, describesHeader: false);

    public long TableOffset(Geometry geometry) => Start << geometry.ClusterBits;

    /// <summary>0 for an image without an L1 table (of no length).</summary>
    public long L1Offset(Geometry geometry) =>
        L1Clusters == 0 ? 0 : (Start + TableClusters + blockIndices.Count) << geometry.ClusterBits;

    /// <summary>
    /// Writes all of it and sets the entries of <paramref name="table"/>, followed by a barrier; the header is the caller's to change.
    /// The clusters must be free and, up to the file's end, may hold old bytes.
    /// </summary>
    public async ValueTask<BlockStatus> WriteAsync(IImageFile file, Geometry geometry, ulong[] table, Func<ValueTask<BlockStatus>> barrier)
    {
        long startOffset = Start << geometry.ClusterBits;
        long end = startOffset + (Clusters << geometry.ClusterBits);
        BlockStatus status = file.LengthBytes > startOffset
            ? await file.ZeroAsync(BlockRange.FromTo(startOffset, Math.Min(end, file.LengthBytes)))
            : BlockStatus.Ok;
        if (status == BlockStatus.Ok && file.LengthBytes < end)
        {
            status = await file.SetLengthAsync(end);
        }

        for (int i = 0; i < blockIndices.Count && status == BlockStatus.Ok; i++)
        {
            long offset = (Start + TableClusters + i) << geometry.ClusterBits;
            table[blockIndices[i]] = (ulong)offset;
            status = await WriteBlockAsync(file, geometry, blockIndices[i], offset);
        }

        if (status == BlockStatus.Ok)
        {
            status = await WriteTableAsync(file, geometry, table);
        }

        return status == BlockStatus.Ok ? await barrier() : status;
    }

    private static EmptyLayout Solve(Geometry geometry, long start, int minimumTableClusters, int l1Clusters, bool describesHeader)
    {
        int tableClusters = minimumTableClusters;
        List<long> blocks = [];
        while (true)
        {
            long last = start + tableClusters + blocks.Count + l1Clusters - 1;
            List<long> needed = describesHeader ? [0] : [];
            for (long i = start >> geometry.RefcountBlockBits; i <= last >> geometry.RefcountBlockBits; i++)
            {
                if (needed.Count == 0 || needed[^1] < i)
                {
                    needed.Add(i);
                }
            }

            int tableNeeded = (int)(needed[^1] / geometry.RefcountTableEntriesPerCluster) + 1;
            if (needed.Count <= blocks.Count && tableNeeded <= tableClusters)
            {
                return new(start, tableClusters, blocks, l1Clusters, describesHeader);
            }

            blocks = needed;
            tableClusters = Math.Max(tableClusters, tableNeeded);
        }
    }

    /// <summary>Only up to the last count that is not 0: the rest of the block is zero already.</summary>
    private async ValueTask<BlockStatus> WriteBlockAsync(IImageFile file, Geometry geometry, long blockIndex, long offset)
    {
        long first = blockIndex << geometry.RefcountBlockBits;
        long from = Math.Max(Start, first) - first;
        long end = Math.Min(Start + Clusters - first, geometry.RefcountsPerBlock);
        bool header = DescribesHeader && blockIndex == 0;
        (int _, int length) = RefcountCodec.BytesOf(geometry.RefcountOrder, 0, Math.Max(end, header ? 1 : 0));
        byte[] bytes = new byte[length];
        if (header)
        {
            RefcountCodec.Set(bytes, geometry.RefcountOrder, 0, 1);
        }

        for (long i = from; i < end; i++)
        {
            RefcountCodec.Set(bytes, geometry.RefcountOrder, i, 1);
        }

        return await file.WriteAsync(offset, bytes);
    }

    private async ValueTask<BlockStatus> WriteTableAsync(IImageFile file, Geometry geometry, ulong[] table)
    {
        int used = Array.FindLastIndex(table, static entry => entry != 0) + 1;
        byte[] bytes = new byte[used * sizeof(ulong)];
        for (int i = 0; i < used; i++)
        {
            BinaryPrimitives.WriteUInt64BigEndian(bytes.AsSpan(i * 8), table[i]);
        }

        return await file.WriteAsync(TableOffset(geometry), bytes);
    }
}
