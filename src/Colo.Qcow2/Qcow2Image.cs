using Colo.Blocks;
using Colo.Qcow2.Check;
using Colo.Qcow2.Mapping;

namespace Colo.Qcow2;

/// <summary>
/// One qcow2 image, seen alone: what it does not hold is a hole, whatever its header says about a backing file (for the composed
/// view see <see cref="Qcow2Chain"/>). Owns its file. A write that was answered is mapped in the file.
/// </summary>
public sealed class Qcow2Image : IOverlayDevice
{
    private readonly ImageState image;
    private readonly ReadPath reads;
    private readonly WritePath writes;
    private readonly Zeroing zeroing;
    private readonly Emptying emptying;
    private readonly Growing growing;
    private readonly WriteAccess access;

    internal Qcow2Image(ImageState image, bool isReadOnly)
    {
        this.image = image;
        Unsharing unsharing = new(image);
        reads = new ReadPath(image);
        writes = new WritePath(image, unsharing);
        zeroing = new Zeroing(image, writes, unsharing);
        emptying = new Emptying(image, zeroing);
        growing = new Growing(image, zeroing);
        access = new WriteAccess(image, isReadOnly);
        Capabilities = new(IsReadOnly: isReadOnly, CanZeroFast: image.Header.Version >= 3, PreferredBlockBytes: GrainBytes);
    }

    public long LengthBytes => image.Header.SizeBytes;

    public DeviceCapabilities Capabilities { get; }

    public int GrainBytes => image.Geometry.GrainBytes;

    public int ClusterBytes => image.Geometry.ClusterBytes;

    /// <summary>Mapped grains and metadata clusters; what waits in clusters that are reserved or half filled is not in it.</summary>
    public long AllocatedBytes => image.AllocatedBytes;

    /// <summary>What the header names below this layer; not opened by it.</summary>
    public Qcow2Backing? Backing => image.Header.Backing;

    /// <summary>For messages.</summary>
    public string Path => image.File.Path;

    /// <summary>Writes an empty image into an empty file and opens it for writing; a few small writes, whatever the length.</summary>
    /// <exception cref="ArgumentException">options that the format does not allow.</exception>
    /// <exception cref="Qcow2Exception">the medium failed. The file is disposed.</exception>
    public static ValueTask<Qcow2Image> CreateAsync(IImageFile file, Qcow2CreateOptions options) => ImageOpener.CreateAsync(file, options);

    /// <summary>Opens an image; the file is disposed where that fails.</summary>
    /// <exception cref="Qcow2Exception">not an image that can be served; the message says why.</exception>
    public static ValueTask<Qcow2Image> OpenAsync(IImageFile file, Qcow2OpenOptions? options = null) =>
        ImageOpener.OpenAsync(file, options ?? new Qcow2OpenOptions());

    public ValueTask<BlockStatus> ReadAsync(long offsetBytes, Memory<byte> destination) =>
        ReadAsync(offsetBytes, destination, below: null);

    public ValueTask<BlockStatus> WriteAsync(long offsetBytes, ReadOnlyMemory<byte> source, RequestFlags flags = RequestFlags.None) =>
        WriteAsync(offsetBytes, source, flags, below: null);

    public ValueTask<BlockStatus> WriteZeroesAsync(BlockRange range, RequestFlags flags = RequestFlags.None) =>
        WriteZeroesAsync(range, flags, below: null);

    /// <summary>
    /// Whole grains that this layer holds: they become holes, or, where the header names a backing file whose old content would
    /// show through, zeroes. Whoever stacks layers without naming one writes zeroes with <see cref="RequestFlags.MayUnmap"/> instead.
    /// </summary>
    public ValueTask<BlockStatus> DiscardAsync(BlockRange range, RequestFlags flags = RequestFlags.None) =>
        DiscardAsync(range, flags, Backing is null ? ZeroMode.DiscardToHole : ZeroMode.DiscardToZero);

    /// <summary>One flush of the file: the writes before it are in the right order already.</summary>
    public ValueTask<BlockStatus> FlushAsync()
    {
        if (access.IsClosed || access.IsReadOnly)
        {
            return new(access.IsClosed ? BlockStatus.Shutdown : BlockStatus.Ok);
        }

        return image.FlushAsync();
    }

    public ValueTask<BlockStatus> GetExtentsAsync(BlockRange range, IList<BlockExtent> extents, int maxExtents = int.MaxValue)
    {
        BlockStatus status = access.Judge(range.Offset, range.Length, BlockStatus.InvalidArgument);
        return status == BlockStatus.Ok ? reads.GetExtentsAsync(range, extents, maxExtents) : new(status);
    }

    /// <summary>O(1) in what is mapped: see <see cref="Emptying"/>.</summary>
    public async ValueTask<BlockStatus> MakeEmptyAsync()
    {
        BlockStatus status = await access.PrepareAsync(0, 0);
        return status == BlockStatus.Ok ? await emptying.MakeEmptyAsync() : status;
    }

    /// <summary>Grows the virtual disk; the new part is a hole. NotSupported for less, InvalidArgument beyond what an L1 table of 32 MiB maps.</summary>
    public async ValueTask<BlockStatus> ResizeAsync(long lengthBytes)
    {
        BlockStatus status = await access.PrepareAsync(0, 0);
        return status == BlockStatus.Ok ? await growing.ResizeAsync(lengthBytes) : status;
    }

    /// <summary>Counts every reference in the file against the refcounts, as qemu-img check does. Requests wait meanwhile.</summary>
    public ValueTask<Qcow2CheckReport> CheckAsync(Qcow2Repair repair = Qcow2Repair.None) => ImageChecker.RunAsync(image, access, repair);

    public ValueTask DisposeAsync() => access.CloseAsync();

    /// <summary>Locks are awaited, not blocked on: for a layer below that may suspend.</summary>
    internal void AllowSuspension() => image.Lock.MayBlock = false;

    internal ValueTask<BlockStatus> ReadAsync(long offsetBytes, Memory<byte> destination, IBlockDevice? below)
    {
        BlockStatus status = access.Judge(offsetBytes, destination.Length, BlockStatus.InvalidArgument);
        return status == BlockStatus.Ok ? reads.ReadAsync(offsetBytes, destination, below) : new(status);
    }

    internal async ValueTask<BlockStatus> WriteAsync(long offsetBytes, ReadOnlyMemory<byte> source, RequestFlags flags, IBlockDevice? below)
    {
        BlockStatus status = await access.PrepareAsync(offsetBytes, source.Length);
        status = status == BlockStatus.Ok ? await writes.WriteAsync(offsetBytes, source, below) : status;
        return await FinishAsync(status, flags);
    }

    internal async ValueTask<BlockStatus> WriteZeroesAsync(BlockRange range, RequestFlags flags, IBlockDevice? below)
    {
        BlockStatus status = await access.PrepareAsync(range.Offset, range.Length);
        status = status == BlockStatus.Ok ? await zeroing.WriteZeroesAsync(range, flags, below) : status;
        return await FinishAsync(status, flags);
    }

    internal async ValueTask<BlockStatus> DiscardAsync(BlockRange range, RequestFlags flags, ZeroMode mode)
    {
        BlockStatus status = access.Judge(range.Offset, range.Length, BlockStatus.InvalidArgument);
        status = status == BlockStatus.Ok ? await access.PrepareAsync(range.Offset, range.Length) : status;
        status = status == BlockStatus.Ok ? await zeroing.DiscardAsync(range, mode) : status;
        return await FinishAsync(status, flags);
    }

    private ValueTask<BlockStatus> FinishAsync(BlockStatus status, RequestFlags flags) =>
        status == BlockStatus.Ok && (flags & RequestFlags.ForceUnitAccess) != 0 ? FlushAsync() : new(status);
}
