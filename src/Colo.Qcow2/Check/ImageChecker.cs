using Colo.Blocks;
using Colo.Qcow2.Mapping;
using Colo.Qcow2.Tables;

namespace Colo.Qcow2.Check;

/// <summary>Compares the references of an image with its refcounts, alone in the image.</summary>
internal static class ImageChecker
{
    public static async ValueTask<Qcow2CheckReport> RunAsync(ImageState image, WriteAccess access, Qcow2Repair repair)
    {
        await image.Gate.EnterExclusiveAsync();
        await image.Lock.EnterAsync();
        try
        {
            bool mayRepair = repair == Qcow2Repair.Leaks && !access.IsReadOnly;
            if (!access.IsReadOnly)
            {
                // Clusters taken ahead, and those that wait for a flush to be freed, would count as leaks.
                ThrowIfFailed(await image.FlushUnderLockAsync(), image);
                ThrowIfFailed(await image.Allocator.ReleaseRunAsync(), image);
            }

            return await CheckAsync(image, mayRepair);
        }
        finally
        {
            image.Lock.Exit();
            image.Gate.ExitExclusive();
        }
    }

    private static async ValueTask<Qcow2CheckReport> CheckAsync(ImageState image, bool mayRepair)
    {
        Findings findings = new();
        ReferenceWalk walk = new(image, findings);
        await walk.RunAsync();
        long end = await CompareAsync(image, walk.References, findings, mayRepair);
        return new(findings.Corruptions, findings.Leaks, findings.LeaksRepaired, walk.MappedClusters, end, findings.Messages);
    }

    private static async ValueTask<long> CompareAsync(ImageState image, ReferenceMap references, Findings findings, bool mayRepair)
    {
        Geometry geometry = image.Geometry;
        long last = 0;
        foreach (long cluster in references.Clusters())
        {
            last = Math.Max(last, cluster);
            (BlockStatus status, ulong count) = await image.Refcounts.GetAsync(cluster);
            ThrowIfFailed(status, image);
            if (count < references[cluster])
            {
                findings.Corrupt($"cluster {cluster} has refcount {count} and {references[cluster]} references");
            }
        }

        for (long block = 0; block < image.Refcounts.BlockCount; block++)
        {
            long first = block << geometry.RefcountBlockBits;
            (BlockStatus status, ReadOnlyMemory<byte> counts) = await image.Refcounts.ReadBlockAsync(block);
            ThrowIfFailed(status, image);
            for (long i = NextUsed(counts.Span, geometry, 0); i >= 0; i = NextUsed(counts.Span, geometry, i + 1))
            {
                last = Math.Max(last, first + i);
                ulong count = RefcountCodec.Get(counts.Span, geometry.RefcountOrder, i);
                if (count > references[first + i])
                {
                    await LeakedAsync(image, first + i, count, references[first + i], findings, mayRepair);
                }
            }
        }

        return (last + 1) << geometry.ClusterBits;
    }

    /// <summary>The next count that is not 0, or -1; zero bytes are skipped as they are.</summary>
    private static long NextUsed(ReadOnlySpan<byte> block, Geometry geometry, long from)
    {
        long entries = ((long)block.Length * 8) >> geometry.RefcountOrder;
        while (from < entries)
        {
            int at = (int)((from << geometry.RefcountOrder) >> 3);
            int zeroes = block[at..].IndexOfAnyExcept((byte)0);
            if (zeroes < 0)
            {
                return -1;
            }

            from = Math.Max(from, ((at + zeroes) * 8L) >> geometry.RefcountOrder);
            if (RefcountCodec.Get(block, geometry.RefcountOrder, from) != 0)
            {
                return from;
            }

            from++;
        }

        return -1;
    }

    private static async ValueTask LeakedAsync(ImageState image, long cluster, ulong count, uint used, Findings findings, bool mayRepair)
    {
        findings.Leak($"cluster {cluster} has refcount {count} and {used} references");
        if (mayRepair && used <= 1)
        {
            ThrowIfFailed(await image.Refcounts.SetAsync(cluster, 1, used), image);
            findings.LeaksRepaired++;
        }
    }

    private static void ThrowIfFailed(BlockStatus status, ImageState image)
    {
        if (status != BlockStatus.Ok)
        {
            throw new Qcow2Exception(Qcow2Fault.Medium, image.File.Path, 0, $"the check failed on the medium: {status}");
        }
    }
}
