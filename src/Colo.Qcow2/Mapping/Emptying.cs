using Colo.Blocks;
using Colo.Qcow2.Header;
using Colo.Qcow2.Tables;

namespace Colo.Qcow2.Mapping;

/// <summary>
/// Forgets everything that an image maps. Mapping and refcounts are replaced together by one write to the header: first by new ones
/// behind the file's end, then, with everything before them free, by new ones at its start, so that the file can be cut. Both
/// writes stay in the first sector: a kill finds the old image, or the empty one, never a mixture. The cost does not depend on
/// what was mapped. An image with internal snapshots cannot lose its refcounts and is emptied cluster by cluster.
/// </summary>
internal sealed class Emptying(ImageState image, Zeroing zeroing)
{
    private readonly Geometry geometry = image.Geometry;

    private int L1Clusters => (int)geometry.ClustersFor(image.Mapping.L1Entries * 8L);

    public async ValueTask<BlockStatus> MakeEmptyAsync()
    {
        if (image.Header.SnapshotCount > 0)
        {
            return await zeroing.DiscardAsync(new(0, image.Header.SizeBytes), ZeroMode.DiscardToHole);
        }

        await image.Gate.EnterExclusiveAsync();
        await image.Lock.EnterAsync();
        try
        {
            EmptyLayout low = EmptyLayout.ForImage(geometry, start: 1, L1Clusters);
            BlockStatus status = await SwitchToAsync(Math.Max(geometry.ClustersFor(image.File.LengthBytes), low.Start + low.Clusters));
            status = status == BlockStatus.Ok ? await SwitchToAsync(1) : status;
            return status == BlockStatus.Ok ? await CutAsync() : status;
        }
        finally
        {
            image.Lock.Exit();
            image.Gate.ExitExclusive();
        }
    }

    private async ValueTask<BlockStatus> SwitchToAsync(long startCluster)
    {
        EmptyLayout layout = EmptyLayout.ForImage(geometry, startCluster, L1Clusters);
        ulong[] table = new ulong[layout.TableClusters * geometry.RefcountTableEntriesPerCluster];
        BlockStatus status = await layout.WriteAsync(image.File, geometry, table, image.BarrierAsync);
        if (status != BlockStatus.Ok)
        {
            return status;
        }

        Qcow2Header header = image.Header with
        {
            L1Offset = layout.L1Offset(geometry),
            RefcountTableOffset = layout.TableOffset(geometry),
            RefcountTableClusters = layout.TableClusters,
        };
        status = await image.WriteHeaderAsync(HeaderLayout.L1TableOffset, HeaderWriter.L1AndRefcountTable(header));
        if (status != BlockStatus.Ok)
        {
            return status;
        }

        image.Header = header;
        image.Mapping.Reset(new ulong[image.Mapping.L1Entries], keepSlices: false);
        image.Refcounts.Reset(header.RefcountTableOffset, table);
        image.Allocator.Reset();
        image.ForgetFrees();
        image.ResetAllocated((layout.Clusters + 1) << geometry.ClusterBits);
        return await image.BarrierAsync();
    }

    private async ValueTask<BlockStatus> CutAsync()
    {
        long end = geometry.ClustersFor(image.AllocatedBytes) << geometry.ClusterBits;
        return await image.File.SetLengthAsync(end);
    }
}
