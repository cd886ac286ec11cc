namespace Colo.Blocks;

/// <summary>
/// A disk: a fixed run of bytes that is read, written, zeroed, discarded and flushed. The one contract that every room of the
/// data plane serves and uses.
/// </summary>
/// <remarks>
/// <para>Requests may overlap in time, from any thread. A request that the device can answer at once completes synchronously;
/// this is the usual case and allocates nothing. Continuations may run on the device's own thread and must not block it.</para>
/// <para>The caller keeps a buffer unchanged and alive until the request's task ends. There is no cancellation of one request:
/// disposing the device answers what is pending with <see cref="BlockStatus.Shutdown"/>.</para>
/// <para>Ranges past the end are refused by the callee: <see cref="BlockStatus.NoSpace"/> for write and zero,
/// <see cref="BlockStatus.InvalidArgument"/> for the rest (NBD proto.md). Failures of the medium are a status, not an exception.</para>
/// <para>A completed write is visible to every later read; it is durable after a later flush, or at once with FUA. The order of two
/// overlapping requests in flight at the same time is not defined.</para>
/// </remarks>
public interface IBlockDevice : IAsyncDisposable
{
    long LengthBytes { get; }

    DeviceCapabilities Capabilities { get; }

    ValueTask<BlockStatus> ReadAsync(long offsetBytes, Memory<byte> destination);

    ValueTask<BlockStatus> WriteAsync(long offsetBytes, ReadOnlyMemory<byte> source, RequestFlags flags = RequestFlags.None);

    /// <summary>Makes the range read as zeroes. Cheap for any length where <see cref="DeviceCapabilities.CanZeroFast"/>.</summary>
    ValueTask<BlockStatus> WriteZeroesAsync(BlockRange range, RequestFlags flags = RequestFlags.None);

    /// <summary>A hint that the content is no longer needed; reads afterwards give the old bytes or zeroes.</summary>
    ValueTask<BlockStatus> DiscardAsync(BlockRange range, RequestFlags flags = RequestFlags.None);

    /// <summary>Every write completed before this call is on stable storage when it answers Ok (fdatasync).</summary>
    ValueTask<BlockStatus> FlushAsync();

    /// <summary>
    /// Appends the kinds of a prefix of <paramref name="range"/> to <paramref name="extents"/>: in order, without gaps, from its
    /// start, at least one and at most <paramref name="maxExtents"/> extents, never past the end of the range.
    /// </summary>
    ValueTask<BlockStatus> GetExtentsAsync(BlockRange range, IList<BlockExtent> extents, int maxExtents = int.MaxValue);
}
