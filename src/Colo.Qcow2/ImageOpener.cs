using Colo.Blocks;
using Colo.Qcow2.Check;
using Colo.Qcow2.Header;
using Colo.Qcow2.Mapping;
using Colo.Qcow2.Tables;

namespace Colo.Qcow2;

/// <summary>Makes an image in an empty file, or opens one that is there.</summary>
internal static class ImageOpener
{
    /// <summary>An image just made maps nothing, so its cache need not hold more than what an opened one's would.</summary>
    private static readonly int DefaultCacheBytes = new Qcow2OpenOptions().MappingCacheBytes;

    public static async ValueTask<Qcow2Image> CreateAsync(IImageFile file, Qcow2CreateOptions options)
    {
        try
        {
            Qcow2Header header = NewHeader(options);
            Geometry geometry = new(header.ClusterBits, header.ExtendedL2, header.RefcountOrder);
            EmptyLayout layout = EmptyLayout.ForImage(geometry, start: 1, (int)geometry.ClustersFor(header.L1Entries * 8L));
            header = header with
            {
                L1Offset = layout.L1Offset(geometry),
                RefcountTableOffset = layout.TableOffset(geometry),
                RefcountTableClusters = layout.TableClusters,
            };

            // The header is written last: until then the file is no image.
            byte[] headerBytes = HeaderWriter.NewHeader(header);
            ImageState image = new(file, header, options.Durability, new ulong[header.L1Entries], DefaultCacheBytes);
            ulong[] table = new ulong[layout.TableClusters * geometry.RefcountTableEntriesPerCluster];
            BlockStatus status = await layout.WriteAsync(file, geometry, table, image.BarrierAsync);
            status = status == BlockStatus.Ok ? await file.WriteAsync(0, headerBytes) : status;
            status = status == BlockStatus.Ok ? await image.BarrierAsync() : status;
            if (status != BlockStatus.Ok)
            {
                throw new Qcow2Exception(Qcow2Fault.Medium, file.Path, 0, $"a new image cannot be written: {status}");
            }

            image.Refcounts.Reset(header.RefcountTableOffset, table);
            image.ResetAllocated((layout.Clusters + 1) << geometry.ClusterBits);
            return new Qcow2Image(image, isReadOnly: false);
        }
        catch
        {
            await file.DisposeAsync();
            throw;
        }
    }

    public static async ValueTask<Qcow2Image> OpenAsync(IImageFile file, Qcow2OpenOptions options)
    {
        try
        {
            Qcow2Header header = await HeaderReader.ReadAsync(file);
            ImageScan scan = new(file, header);
            await scan.RunAsync();
            bool readOnly = options.ReadOnly || file.IsReadOnly;
            ImageState image = new(file, header, options.Durability, scan.L1, options.MappingCacheBytes);
            image.Refcounts.Reset(header.RefcountTableOffset, scan.RefcountTable);
            image.ResetAllocated(scan.AllocatedBytes);
            if (!readOnly)
            {
                if (header.IsDirty)
                {
                    await DirtyImage.RebuildAsync(image);
                }

                await scan.RequireRefcountsAsync(image.Refcounts);
            }

            return new Qcow2Image(image, readOnly);
        }
        catch
        {
            await file.DisposeAsync();
            throw;
        }
    }

    private static Qcow2Header NewHeader(Qcow2CreateOptions options)
    {
        int minimumBits = options.ExtendedL2 ? HeaderLayout.MinimumClusterBitsExtendedL2 : HeaderLayout.MinimumClusterBits;
        if (options.ClusterBits < minimumBits || options.ClusterBits > HeaderLayout.MaximumClusterBits)
        {
            throw new ArgumentException($"ClusterBits is {options.ClusterBits}; {minimumBits} to {HeaderLayout.MaximumClusterBits} are allowed", nameof(options));
        }

        if (options.RefcountOrder is < 0 or > HeaderLayout.MaximumRefcountOrder)
        {
            throw new ArgumentException($"RefcountOrder is {options.RefcountOrder}; 0 to {HeaderLayout.MaximumRefcountOrder} are allowed", nameof(options));
        }

        long l1Entries = options.LengthBytes < 0
            ? -1
            : new Geometry(options.ClusterBits, options.ExtendedL2, options.RefcountOrder).L1EntriesFor(options.LengthBytes);
        if (l1Entries is < 0 or > HeaderLayout.MaximumL1Entries)
        {
            throw new ArgumentException($"LengthBytes is {options.LengthBytes}; from 0 to what an L1 table of 32 MiB maps at this cluster size is allowed", nameof(options));
        }

        return new()
        {
            Version = 3,
            ClusterBits = options.ClusterBits,
            SizeBytes = options.LengthBytes,
            L1Entries = (int)l1Entries,
            L1Offset = 0,
            RefcountTableOffset = 0,
            RefcountTableClusters = 0,
            RefcountOrder = options.RefcountOrder,
            Incompatible = options.ExtendedL2 ? IncompatibleFeatures.ExtendedL2 : IncompatibleFeatures.None,
            Compatible = options.LazyRefcounts ? CompatibleFeatures.LazyRefcounts : CompatibleFeatures.None,
            Backing = options.Backing,
        };
    }
}
