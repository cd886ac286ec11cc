using Colo.Blocks;
using Colo.Qcow2.Header;
using Colo.Qcow2.Mapping;
using Colo.Qcow2.Tables;

namespace Colo.Qcow2.Check;

/// <summary>
/// An image whose writer postponed refcounts (lazy refcounts) and died: its mapping is right, its refcounts are rebuilt from it
/// before anything is allocated, and the dirty bit is cleared last, so that a kill in between finds it dirty again.
/// </summary>
internal static class DirtyImage
{
    public static async ValueTask RebuildAsync(ImageState image)
    {
        Findings findings = new();
        ReferenceWalk walk = new(image, findings);
        await walk.RunAsync();
        foreach (long cluster in walk.References.Clusters())
        {
            RequireRoomForBlock(image, walk.References, cluster);
            await SetAsync(image, cluster, walk.References[cluster]);
        }

        // Making the missing refcount blocks added references: a second walk finds the counts that are still too high.
        ReferenceWalk second = new(image, new Findings());
        await second.RunAsync();
        for (long cluster = 0; cluster < image.Refcounts.CoveredClusters; cluster++)
        {
            if (image.Refcounts.BlockOffset(cluster >> image.Geometry.RefcountBlockBits) == 0)
            {
                cluster += image.Geometry.RefcountsPerBlock - 1;
                continue;
            }

            await SetAsync(image, cluster, second.References[cluster]);
        }

        IncompatibleFeatures clean = image.Header.Incompatible & ~IncompatibleFeatures.Dirty;
        ThrowIfFailed(await image.File.FlushAsync(), image);
        ThrowIfFailed(await image.File.WriteAsync(HeaderLayout.IncompatibleFeatures, HeaderWriter.U64((ulong)clean)), image);
        ThrowIfFailed(await image.File.FlushAsync(), image);
        image.Header = image.Header with { Incompatible = clean };
    }

    /// <summary>A missing refcount block is put into the first cluster that it describes, which must not be in use.</summary>
    private static void RequireRoomForBlock(ImageState image, ReferenceMap references, long cluster)
    {
        long block = cluster >> image.Geometry.RefcountBlockBits;
        bool isMissing = block >= image.Refcounts.BlockCount || image.Refcounts.BlockOffset(block) == 0;
        if (isMissing && references[block << image.Geometry.RefcountBlockBits] != 0)
        {
            throw new Qcow2Exception(Qcow2Fault.InvalidField, image.File.Path, image.Refcounts.TableOffset + (block * 8), $"a dirty image without refcount block {block}, with no place for it; repair it with `qemu-img check -r all` first");
        }
    }

    private static async ValueTask SetAsync(ImageState image, long cluster, uint references)
    {
        (BlockStatus status, ulong count) = await image.Refcounts.GetAsync(cluster);
        ThrowIfFailed(status, image);
        if (count != references)
        {
            ThrowIfFailed(await image.Refcounts.SetAsync(cluster, 1, references), image);
        }
    }

    private static void ThrowIfFailed(BlockStatus status, ImageState image)
    {
        if (status != BlockStatus.Ok)
        {
            throw new Qcow2Exception(Qcow2Fault.Medium, image.File.Path, 0, $"the refcounts of a dirty image cannot be rebuilt: {status}");
        }
    }
}
