using Colo.Blocks;

namespace Colo.Qcow2.Tables;

/// <summary>
/// Gives out clusters whose refcount is 1 in the file already. It takes them in small runs ahead, so that one refcount write serves
/// many first writes; a kill leaks at most one run, a clean close gives it back. All calls under the mapping lock.
/// </summary>
internal sealed class ClusterAllocator(IImageFile file, Geometry geometry, Refcounts refcounts, Func<ValueTask<BlockStatus>> barrier)
{
    /// <summary>At most this much is leaked by a kill.</summary>
    private const int RunBytes = 4 * 1024 * 1024;
    private const int MaximumRunClusters = 64;

    private readonly int runClusters = Math.Clamp(RunBytes >> geometry.ClusterBits, 1, MaximumRunClusters);
    private long runNext;
    private long runEnd;

    /// <summary>No free cluster lies before it.</summary>
    private long freeFrom;

    /// <summary>Whether the clusters given out read as zeroes: they were past the end of the file.</summary>
    public bool GivesZeroes { get; private set; }

    /// <summary>Up to <paramref name="wanted"/> clusters in a row, at least one.</summary>
    public async ValueTask<(BlockStatus Status, long First, int Count)> AllocateAsync(int wanted)
    {
        if (runNext == runEnd)
        {
            BlockStatus status = await ReserveAsync();
            if (status != BlockStatus.Ok)
            {
                return (status, 0, 0);
            }
        }

        int count = (int)Math.Min(wanted, runEnd - runNext);
        long first = runNext;
        runNext += count;
        return (BlockStatus.Ok, first, count);
    }

    /// <summary>Takes back what was given out last and never referred to.</summary>
    public void GiveBack(long first, int count)
    {
        if (first + count == runNext)
        {
            runNext = first;
            GivesZeroes = false;
        }
    }

    /// <summary>A row of exactly <paramref name="count"/> clusters, for tables; at the end of what is in use. It must fit one refcount
    /// block beside the block's own cluster, otherwise NoSpace.</summary>
    public async ValueTask<(BlockStatus Status, long First)> AllocateRowAsync(int count)
    {
        if (count >= geometry.RefcountsPerBlock)
        {
            return (BlockStatus.NoSpace, 0);
        }

        long from = Math.Max(freeFrom, geometry.ClustersFor(file.LengthBytes));
        while (true)
        {
            (BlockStatus status, long first, int got) = await FindRowAsync(from, count);
            if (status != BlockStatus.Ok)
            {
                return (status, 0);
            }

            if (got < count)
            {
                from = first + got;
                continue;
            }

            status = await ExtendAsync(first + count);
            for (int i = 0; i < count && status == BlockStatus.Ok; i++)
            {
                status = await refcounts.SetAsync(first + i, 1, 1);
            }

            return (status == BlockStatus.Ok ? await barrier() : status, first);
        }
    }

    /// <summary>One reference less to each cluster; nothing in the file may refer to them any more. Gives back how many became free.</summary>
    public async ValueTask<(BlockStatus Status, int Freed)> ReleaseAsync(long first, int count)
    {
        int freed = 0;
        for (long cluster = first; cluster < first + count; cluster++)
        {
            (BlockStatus status, ulong references) = await refcounts.GetAsync(cluster);
            if (status != BlockStatus.Ok || references == 0)
            {
                return (status == BlockStatus.Ok ? BlockStatus.IoError : status, freed);
            }

            status = await refcounts.SetAsync(cluster, 1, references - 1);
            if (status != BlockStatus.Ok)
            {
                return (status, freed);
            }

            if (references == 1)
            {
                freed++;
                freeFrom = Math.Min(freeFrom, cluster);
                await file.DiscardAsync(new(cluster << geometry.ClusterBits, geometry.ClusterBytes));
            }
        }

        return (BlockStatus.Ok, freed);
    }

    /// <summary>Gives back what was taken ahead.</summary>
    public async ValueTask<BlockStatus> ReleaseRunAsync()
    {
        if (runNext == runEnd)
        {
            return BlockStatus.Ok;
        }

        BlockStatus status = await refcounts.SetAsync(runNext, (int)(runEnd - runNext), 0);
        if (status == BlockStatus.Ok && runEnd << geometry.ClusterBits == file.LengthBytes)
        {
            status = await file.SetLengthAsync(runNext << geometry.ClusterBits);
        }

        freeFrom = Math.Min(freeFrom, runNext);
        runNext = runEnd = 0;
        return status;
    }

    /// <summary>The refcounts were exchanged for others.</summary>
    public void Reset()
    {
        runNext = runEnd = 0;
        freeFrom = 0;
    }

    private async ValueTask<BlockStatus> ReserveAsync()
    {
        (BlockStatus status, long first, int count) = await refcounts.FindFreeAsync(freeFrom, runClusters);
        if (status != BlockStatus.Ok)
        {
            return status;
        }

        GivesZeroes = first << geometry.ClusterBits >= file.LengthBytes;
        status = await ExtendAsync(first + count);
        if (status == BlockStatus.Ok)
        {
            status = await refcounts.SetAsync(first, count, 1);
        }

        // Refcounts before references: the reverse can hand out a cluster that is in use.
        status = status == BlockStatus.Ok ? await barrier() : status;
        if (status == BlockStatus.Ok)
        {
            (runNext, runEnd, freeFrom) = (first, first + count, first + count);
        }

        return status;
    }

    private async ValueTask<BlockStatus> ExtendAsync(long endCluster)
    {
        long end = endCluster << geometry.ClusterBits;
        return file.LengthBytes >= end ? BlockStatus.Ok : await file.SetLengthAsync(end);
    }

    /// <summary>A free row may cross refcount blocks.</summary>
    private async ValueTask<(BlockStatus Status, long First, int Count)> FindRowAsync(long from, int wanted)
    {
        (BlockStatus status, long first, int count) = await refcounts.FindFreeAsync(from, wanted);
        while (status == BlockStatus.Ok && count < wanted)
        {
            (status, long next, int more) = await refcounts.FindFreeAsync(first + count, wanted - count);
            if (next != first + count)
            {
                break;
            }

            count += more;
        }

        return (status, first, count);
    }
}
