using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Colo.Blocks;
using Colo.Qcow2.Header;

namespace Colo.Qcow2.Tables;

/// <summary>
/// The refcount table and its blocks, written through: what is in memory is in the file. Makes blocks and a larger table where they
/// are missing. All calls under the mapping lock, or with no request in flight.
/// </summary>
internal sealed class Refcounts(
    IImageFile file, Geometry geometry, Func<ValueTask<BlockStatus>> barrier, Func<int, byte[], ValueTask<BlockStatus>> writeHeader)
{
    /// <summary>Blocks in memory; beyond it all are forgotten and read again. One 64 KiB block of 16-bit counts covers 2 GiB.</summary>
    private const int MaximumCachedBytes = 16 * 1024 * 1024;

    private readonly Dictionary<long, byte[]> blocks = [];
    private ulong[] table = [];

    public long TableOffset { get; private set; }

    public int TableClusters => table.Length / geometry.RefcountTableEntriesPerCluster;

    /// <summary>Clusters that the table can describe, blocks present or not.</summary>
    public long CoveredClusters => table.LongLength << geometry.RefcountBlockBits;

    public long BlockCount => table.LongLength;

    /// <summary>Host offset of a refcount block; 0 where there is none and every count in it is 0.</summary>
    public long BlockOffset(long blockIndex) => (long)(table[blockIndex] & ~0x1ffUL);

    public void Reset(long tableOffset, ulong[] newTable)
    {
        TableOffset = tableOffset;
        table = newTable;
        blocks.Clear();
    }

    public async ValueTask<(BlockStatus Status, ulong Count)> GetAsync(long cluster)
    {
        if (cluster >= CoveredClusters || BlockOffset(cluster >> geometry.RefcountBlockBits) == 0)
        {
            return (BlockStatus.Ok, 0);
        }

        (BlockStatus status, byte[]? block) = await LoadAsync(cluster >> geometry.RefcountBlockBits);
        return block is null
            ? (status, 0)
            : (BlockStatus.Ok, RefcountCodec.Get(block, geometry.RefcountOrder, cluster & (geometry.RefcountsPerBlock - 1)));
    }

    /// <summary>
    /// Finds clusters with refcount 0, from <paramref name="from"/> on: the first such run, at most <paramref name="maximum"/> long
    /// and inside one refcount block, which is made where it is missing.
    /// </summary>
    public async ValueTask<(BlockStatus Status, long First, int Count)> FindFreeAsync(long from, int maximum)
    {
        for (long at = from; ;)
        {
            long blockIndex = at >> geometry.RefcountBlockBits;
            BlockStatus status = await EnsureBlockAsync(blockIndex);
            if (status != BlockStatus.Ok)
            {
                return (status, 0, 0);
            }

            (status, byte[]? block) = await LoadAsync(blockIndex);
            if (block is null)
            {
                return (status, 0, 0);
            }

            long blockStart = blockIndex << geometry.RefcountBlockBits;
            long first = FirstZero(block, at - blockStart);
            if (first < geometry.RefcountsPerBlock)
            {
                return (BlockStatus.Ok, blockStart + first, ZeroRun(block, first, maximum));
            }

            at = blockStart + geometry.RefcountsPerBlock;
        }
    }

    /// <summary>All refcounts of a block, as in the file; empty where there is no block.</summary>
    public async ValueTask<(BlockStatus Status, ReadOnlyMemory<byte> Block)> ReadBlockAsync(long blockIndex)
    {
        if (BlockOffset(blockIndex) == 0)
        {
            return (BlockStatus.Ok, default);
        }

        (BlockStatus status, byte[]? block) = await LoadAsync(blockIndex);
        return (status, block);
    }

    /// <summary>Sets the refcount of a run of clusters inside one refcount block, in one write.</summary>
    public async ValueTask<BlockStatus> SetAsync(long first, int count, ulong value)
    {
        long blockIndex = first >> geometry.RefcountBlockBits;
        BlockStatus status = await EnsureBlockAsync(blockIndex);
        if (status != BlockStatus.Ok)
        {
            return status;
        }

        (status, byte[]? block) = await LoadAsync(blockIndex);
        if (block is null)
        {
            return status;
        }

        long inBlock = first & (geometry.RefcountsPerBlock - 1);
        for (int i = 0; i < count; i++)
        {
            RefcountCodec.Set(block, geometry.RefcountOrder, inBlock + i, value);
        }

        (int start, int length) = RefcountCodec.BytesOf(geometry.RefcountOrder, inBlock, count);
        status = await file.WriteAsync(BlockOffset(blockIndex) + start, block.AsMemory(start, length));
        if (status != BlockStatus.Ok)
        {
            blocks.Remove(blockIndex);
        }

        return status;
    }

    private static int BlockEntriesIn(byte[] block, int order) => block.Length * 8 >> order;

    private long FirstZero(byte[] block, long from)
    {
        if (geometry.RefcountOrder == 4)
        {
            int found = MemoryMarshal.Cast<byte, ushort>(block)[(int)from..].IndexOf((ushort)0);
            return found < 0 ? geometry.RefcountsPerBlock : from + found;
        }

        long entries = BlockEntriesIn(block, geometry.RefcountOrder);
        while (from < entries && RefcountCodec.Get(block, geometry.RefcountOrder, from) != 0)
        {
            from++;
        }

        return from;
    }

    private int ZeroRun(byte[] block, long first, int maximum)
    {
        int run = 1;
        while (run < maximum && first + run < geometry.RefcountsPerBlock
            && RefcountCodec.Get(block, geometry.RefcountOrder, first + run) == 0)
        {
            run++;
        }

        return run;
    }

    private async ValueTask<(BlockStatus Status, byte[]? Block)> LoadAsync(long blockIndex)
    {
        if (blocks.TryGetValue(blockIndex, out byte[]? known))
        {
            return (BlockStatus.Ok, known);
        }

        byte[] block = new byte[geometry.ClusterBytes];
        BlockStatus status = await file.ReadAsync(BlockOffset(blockIndex), block);
        if (status != BlockStatus.Ok)
        {
            return (status, null);
        }

        Keep(blockIndex, block);
        return (BlockStatus.Ok, block);
    }

    private void Keep(long blockIndex, byte[] block)
    {
        if ((long)(blocks.Count + 1) * geometry.ClusterBytes > MaximumCachedBytes)
        {
            blocks.Clear();
        }

        blocks[blockIndex] = block;
    }

    /// <summary>A new block lies in the first cluster that it describes itself: every count there is still 0, so that it is free.</summary>
    private async ValueTask<BlockStatus> EnsureBlockAsync(long blockIndex)
    {
        if (blockIndex >= table.LongLength)
        {
            BlockStatus grown = await GrowTableAsync(blockIndex);
            if (grown != BlockStatus.Ok)
            {
                return grown;
            }
        }

        if (BlockOffset(blockIndex) != 0)
        {
            return BlockStatus.Ok;
        }

        long cluster = blockIndex << geometry.RefcountBlockBits;
        byte[] block = new byte[geometry.ClusterBytes];
        RefcountCodec.Set(block, geometry.RefcountOrder, 0, 1);
        BlockStatus status = await WriteBlockAsync(cluster << geometry.ClusterBits, block);
        if (status == BlockStatus.Ok)
        {
            status = await SetTableEntryAsync(blockIndex, (ulong)(cluster << geometry.ClusterBits));
        }

        if (status == BlockStatus.Ok)
        {
            Keep(blockIndex, block);
        }

        return status;
    }

    private async ValueTask<BlockStatus> WriteBlockAsync(long offset, byte[] block)
    {
        BlockStatus status = await file.WriteAsync(offset, block);
        return status == BlockStatus.Ok ? await barrier() : status;
    }

    private async ValueTask<BlockStatus> SetTableEntryAsync(long blockIndex, ulong entry)
    {
        byte[] bytes = HeaderWriter.U64(entry);
        BlockStatus status = await file.WriteAsync(TableOffset + (blockIndex * sizeof(ulong)), bytes);
        if (status == BlockStatus.Ok)
        {
            table[blockIndex] = entry;
        }

        return status;
    }

    /// <summary>
    /// Moves the table to the first clusters that the old one could not describe, at twice its size or more. Until the header names
    /// it, nothing refers to it and the old table says nothing of it; the old one's clusters are given back afterwards.
    /// </summary>
    private async ValueTask<BlockStatus> GrowTableAsync(long blockIndex)
    {
        long start = CoveredClusters;
        int clusters = (int)Math.Max(TableClusters * 2L, (blockIndex / geometry.RefcountTableEntriesPerCluster) + 1);
        if ((long)clusters * geometry.ClusterBytes > HeaderLayout.MaximumRefcountTableBytes)
        {
            return BlockStatus.NoSpace;
        }

        ulong[] grown = new ulong[clusters * geometry.RefcountTableEntriesPerCluster];
        table.CopyTo(grown, 0);
        EmptyLayout layout = EmptyLayout.ForTable(geometry, start, clusters);
        BlockStatus status = await layout.WriteAsync(file, geometry, grown, barrier);
        if (status != BlockStatus.Ok)
        {
            return status;
        }

        byte[] field = new byte[12];
        BinaryPrimitives.WriteUInt64BigEndian(field, (ulong)layout.TableOffset(geometry));
        BinaryPrimitives.WriteUInt32BigEndian(field.AsSpan(8), (uint)clusters);
        status = await writeHeader(HeaderLayout.RefcountTableOffset, field);
        if (status == BlockStatus.Ok)
        {
            status = await barrier();
        }

        if (status != BlockStatus.Ok)
        {
            return status;
        }

        long oldCluster = TableOffset >> geometry.ClusterBits;
        int oldClusters = TableClusters;
        TableOffset = layout.TableOffset(geometry);
        table = grown;
        for (int i = 0; i < oldClusters && status == BlockStatus.Ok; i++)
        {
            status = await SetAsync(oldCluster + i, 1, 0);
        }

        return status;
    }
}
