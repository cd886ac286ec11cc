namespace Colo.Blocks;

/// <summary>
/// One layer of a copy-on-write chain (a qcow2 image), seen alone: a grain that this layer does not hold reads as zeroes and is
/// reported as <see cref="ExtentKind.Hole"/> by <see cref="IBlockDevice.GetExtentsAsync"/> (present: Data, or Zero without Hole).
/// Whoever stacks layers decides what lies below.
/// </summary>
/// <remarks>When a write is answered the layer's mapping is in the file, not only in this process: it survives SIGKILL.</remarks>
public interface IOverlayDevice : IBlockDevice
{
    /// <summary>The unit of allocation, power of two. Writes of whole grains never read.</summary>
    int GrainBytes { get; }

    /// <summary>Bytes that this layer takes on its medium, metadata included.</summary>
    long AllocatedBytes { get; }

    /// <summary>Forgets every grain; afterwards the whole layer is a hole (QEMU's bdrv_make_empty).</summary>
    ValueTask<BlockStatus> MakeEmptyAsync();
}
