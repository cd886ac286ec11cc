using System.Diagnostics;
using Colo.Blocks;

namespace Colo.Linux;

/// <summary>
/// A regular file or block device as a disk. Owns the descriptor, the advisory lock and its workers until it is disposed.
/// </summary>
/// <remarks>
/// <para>Through the page cache, writes and cached reads complete at once on the caller's thread and allocate nothing; a read that
/// would wait for the disk, every flush, FUA write, zeroing, discard and map query goes to a worker (the slow path). With O_DIRECT
/// everything does.</para>
/// <para>A flush is fdatasync. Once one has failed every later flush and FUA answers its error until the file is opened anew.</para>
/// <para>Disposing does not flush: whoever owes a flush asks for it first.</para>
/// </remarks>
public sealed class RawFile : IBlockDevice
{
    private readonly FileFacts facts;
    private readonly FileDescriptor descriptor;
    private readonly IoWorkers workers;
    private readonly Durability durability;
    private readonly FileSpace space;
    private readonly DirectTransfer direct;
    private readonly RangeLock directWrites = new();
    private readonly Lock poolGate = new();
    private IoRequest? pool;
    private long lengthBytes;
    private volatile bool closed;

    internal RawFile(FileDescriptor descriptor, FileFacts facts, int maxWorkers)
    {
        this.descriptor = descriptor;
        this.facts = facts;
        lengthBytes = facts.LengthBytes;
        workers = new IoWorkers("disk " + System.IO.Path.GetFileName(facts.Path), maxWorkers);
        durability = new Durability(descriptor, descriptor.SyncData);
        space = new FileSpace(descriptor, facts);
        direct = new DirectTransfer(descriptor, facts.LogicalBlockBytes, facts.MemoryAlignmentBytes);
        Capabilities = new DeviceCapabilities(
            IsReadOnly: facts.IsReadOnly,
            CanDiscard: facts.CanPunchHoles,
            CanZeroFast: facts.CanPunchHoles,
            PreferredBlockBytes: facts.PreferredBlockBytes);
    }

    public string Path => facts.Path;

    public long LengthBytes => Volatile.Read(ref lengthBytes);

    public DeviceCapabilities Capabilities { get; }

    /// <summary>Requests that took the slow path so far: for metrics, and for tests of what must not.</summary>
    public long SlowPathRequests => workers.Submitted;

    /// <summary>The first fdatasync failure; Ok while there was none.</summary>
    public BlockStatus FlushFailure => durability.Failure;

    /// <exception cref="FileOpenException">not there, not allowed, locked, not a disk, or O_DIRECT is not possible.</exception>
    public static RawFile Open(string path, RawFileOptions? options = null) =>
        RawFileOpener.Open(path, options ?? RawFileOptions.Default);

    /// <summary>Creates a sparse file and opens it; with <paramref name="preallocate"/> its space is reserved.</summary>
    /// <exception cref="FileOpenException">it exists already, or there is no space; nothing is left behind.</exception>
    public static RawFile Create(string path, long lengthBytes, bool preallocate = false, RawFileOptions? options = null) =>
        RawFileOpener.Create(path, lengthBytes, preallocate, options ?? RawFileOptions.Default);

    public ValueTask<BlockStatus> ReadAsync(long offsetBytes, Memory<byte> destination)
    {
        BlockStatus refusal = closed ? BlockStatus.Shutdown : this.CheckRead(offsetBytes, destination.Length);
        if (refusal != BlockStatus.Ok || destination.IsEmpty)
        {
            return new(refusal);
        }

        if (facts.ReadPath > ReadPath.InMemory)
        {
            return ReadSlow(offsetBytes, destination);
        }

        if (!descriptor.TryEnter())
        {
            return new(BlockStatus.Shutdown);
        }

        int cached;
        try
        {
            if (facts.ReadPath == ReadPath.InMemory)
            {
                return new(descriptor.Read(offsetBytes, destination.Span));
            }

            cached = descriptor.ReadCached(offsetBytes, destination.Span);
        }
        finally
        {
            descriptor.Exit();
        }

        // Whatever it was that stopped the cached read, the slow one meets it again and reports it.
        cached = Math.Max(0, cached);
        return cached == destination.Length ? new(BlockStatus.Ok) : ReadSlow(offsetBytes + cached, destination[cached..]);
    }

    public ValueTask<BlockStatus> WriteAsync(long offsetBytes, ReadOnlyMemory<byte> source, RequestFlags flags = RequestFlags.None)
    {
        BlockStatus refusal = closed ? BlockStatus.Shutdown : this.CheckWrite(offsetBytes, source.Length);
        if (refusal != BlockStatus.Ok || source.IsEmpty)
        {
            return new(refusal);
        }

        if (facts.ReadPath == ReadPath.Direct || (flags & RequestFlags.ForceUnitAccess) != 0)
        {
            return WriteSlow(offsetBytes, source, flags);
        }

        if (!descriptor.TryEnter())
        {
            return new(BlockStatus.Shutdown);
        }

        try
        {
            return new(descriptor.Write(offsetBytes, source.Span));
        }
        finally
        {
            descriptor.Exit();
        }
    }

    public ValueTask<BlockStatus> WriteZeroesAsync(BlockRange range, RequestFlags flags = RequestFlags.None)
    {
        BlockStatus refusal = closed ? BlockStatus.Shutdown : this.CheckWrite(range.Offset, range.Length);
        return refusal != BlockStatus.Ok || range.IsEmpty ? new(refusal) : SubmitChange(Rent(IoKind.WriteZeroes, range, flags));
    }

    public ValueTask<BlockStatus> DiscardAsync(BlockRange range, RequestFlags flags = RequestFlags.None)
    {
        BlockStatus refusal = closed ? BlockStatus.Shutdown : this.CheckDiscard(range.Offset, range.Length);
        return refusal != BlockStatus.Ok || range.IsEmpty ? new(refusal) : SubmitChange(Rent(IoKind.Discard, range, flags));
    }

    public ValueTask<BlockStatus> FlushAsync()
    {
        if (closed || facts.IsReadOnly)
        {
            return new(closed ? BlockStatus.Shutdown : BlockStatus.Ok);
        }

        IoRequest request = Rent(IoKind.Flush, default);
        ValueTask<BlockStatus> task = request.Task;
        if (durability.Join(request))
        {
            workers.Submit(Rent(IoKind.FlushGroup, default));
        }

        return task;
    }

    public ValueTask<BlockStatus> GetExtentsAsync(BlockRange range, IList<BlockExtent> extents, int maxExtents = int.MaxValue)
    {
        BlockStatus refusal = closed ? BlockStatus.Shutdown : this.CheckRead(range.Offset, range.Length);
        if (refusal != BlockStatus.Ok || range.IsEmpty)
        {
            return new(refusal);
        }

        IoRequest request = Rent(IoKind.Extents, range);
        request.Extents = extents;
        request.MaxExtents = maxExtents;
        return Submit(request);
    }

    /// <summary>
    /// Makes the file longer (the new bytes read as zeroes) or shorter. For whoever keeps a format in the file; a served disk has a
    /// fixed length. Durable after the next flush.
    /// </summary>
    public BlockStatus SetLength(long newLengthBytes)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(newLengthBytes);
        if (facts.IsReadOnly || facts.IsBlockDevice)
        {
            return facts.IsReadOnly ? BlockStatus.NotPermitted : BlockStatus.NotSupported;
        }

        if (facts.ReadPath == ReadPath.Direct && newLengthBytes % facts.LogicalBlockBytes != 0)
        {
            return BlockStatus.InvalidArgument;
        }

        if (!descriptor.TryEnter())
        {
            return BlockStatus.Shutdown;
        }

        try
        {
            BlockStatus status = descriptor.SetLength(newLengthBytes);
            if (status == BlockStatus.Ok)
            {
                Volatile.Write(ref lengthBytes, newLengthBytes);
            }

            return status;
        }
        finally
        {
            descriptor.Exit();
        }
    }

    /// <summary>Bytes that the file takes on its file system.</summary>
    public long GetAllocatedBytes()
    {
        if (!descriptor.TryEnter())
        {
            return 0;
        }

        try
        {
            return descriptor.Stat(out Native.StatxBuffer stat) == 0 ? (long)stat.Blocks512 * 512 : 0;
        }
        finally
        {
            descriptor.Exit();
        }
    }

    /// <summary>Answers what waits with Shutdown, waits for what has begun, then closes and so unlocks the file.</summary>
    public async ValueTask DisposeAsync()
    {
        closed = true;
        await workers.StopAsync();
        descriptor.Dispose();
    }

    internal FileDescriptor Descriptor => descriptor;

    /// <summary>On a worker: does what the request asks and completes it.</summary>
    internal void Run(IoRequest request, BounceBuffer bounce)
    {
        if (request.Kind == IoKind.FlushGroup)
        {
            Recycle(request);
            durability.RunGroups();
            return;
        }

        request.Complete(request.Kind switch
        {
            IoKind.Read => Read(request, bounce),
            IoKind.Write => Write(request, bounce),
            IoKind.WriteZeroes => Synced(request, Zero(request, bounce)),
            IoKind.Discard => Synced(request, space.Discard(request.Range)),
            IoKind.Extents => space.Map(request.Range, request.Extents!, request.MaxExtents),
            _ => throw new UnreachableException(),
        });
    }

    /// <summary>The workers have stopped before this request began.</summary>
    internal void Abandon(IoRequest request)
    {
        if (request.Kind == IoKind.FlushGroup)
        {
            Recycle(request);
            durability.Abandon();
            return;
        }

        request.Complete(BlockStatus.Shutdown);
    }

    internal void Recycle(IoRequest request)
    {
        lock (poolGate)
        {
            request.Next = pool;
            pool = request;
        }
    }

    private ValueTask<BlockStatus> ReadSlow(long offsetBytes, Memory<byte> destination)
    {
        IoRequest request = Rent(IoKind.Read, new BlockRange(offsetBytes, destination.Length));
        request.Memory = destination;
        return Submit(request);
    }

    private ValueTask<BlockStatus> WriteSlow(long offsetBytes, ReadOnlyMemory<byte> source, RequestFlags flags)
    {
        IoRequest request = Rent(IoKind.Write, new BlockRange(offsetBytes, source.Length), flags);
        request.SetSource(source);
        return SubmitChange(request);
    }

    private ValueTask<BlockStatus> Submit(IoRequest request)
    {
        ValueTask<BlockStatus> task = request.Task;
        workers.Submit(request);
        return task;
    }

    /// <summary>With O_DIRECT a read-modify-write must not put old bytes back over a neighbour's new ones: changes of the same blocks
    /// go one after another.</summary>
    private ValueTask<BlockStatus> SubmitChange(IoRequest request)
    {
        if (facts.ReadPath != ReadPath.Direct)
        {
            return Submit(request);
        }

        ValueTask<RangeLock.Held> turn = directWrites.AcquireAsync(request.Range.ExpandTo(facts.LogicalBlockBytes, LengthBytes));
        if (!turn.IsCompletedSuccessfully)
        {
            return SubmitInTurnAsync(request, turn);
        }

        request.Held = turn.Result;
        return Submit(request);
    }

    private async ValueTask<BlockStatus> SubmitInTurnAsync(IoRequest request, ValueTask<RangeLock.Held> turn)
    {
        request.Held = await turn;
        return await Submit(request);
    }

    private IoRequest Rent(IoKind kind, BlockRange range, RequestFlags flags = RequestFlags.None)
    {
        IoRequest? request;
        lock (poolGate)
        {
            request = pool;
            pool = request?.Next;
        }

        request ??= new IoRequest(this);
        request.Next = null;
        request.Kind = kind;
        request.Range = range;
        request.Flags = flags;
        return request;
    }

    private BlockStatus Read(IoRequest request, BounceBuffer bounce) => facts.ReadPath == ReadPath.Direct
        ? direct.Read(request.Range.Offset, request.Memory.Span, bounce)
        : descriptor.Read(request.Range.Offset, request.Memory.Span);

    private BlockStatus Write(IoRequest request, BounceBuffer bounce)
    {
        bool isDurable = (request.Flags & RequestFlags.ForceUnitAccess) != 0;
        bool isDirect = facts.ReadPath == ReadPath.Direct;
        if (isDurable && (!isDirect || direct.IsAligned(request.Range.Offset, request.Memory.Span)))
        {
            return durability.WriteThrough(request.Range.Offset, request.Memory.Span);
        }

        return Synced(request, WriteBytes(request.Range.Offset, request.Memory.Span, bounce));
    }

    private BlockStatus Zero(IoRequest request, BounceBuffer bounce)
    {
        BlockStatus status = space.ZeroFast(request.Range, request.Flags);
        if (status != BlockStatus.NotSupported || (request.Flags & RequestFlags.FastOnly) != 0)
        {
            return status;
        }

        long at = request.Range.Offset;
        status = BlockStatus.Ok;
        while (at < request.Range.End && status == BlockStatus.Ok)
        {
            int length = (int)Math.Min(BounceBuffer.LengthBytes, request.Range.End - at);
            status = WriteBytes(at, BounceBuffer.Zeroes[..length], bounce);
            at += length;
        }

        return status;
    }

    private BlockStatus WriteBytes(long offsetBytes, ReadOnlySpan<byte> source, BounceBuffer bounce) =>
        facts.ReadPath == ReadPath.Direct ? direct.Write(offsetBytes, source, bounce) : descriptor.Write(offsetBytes, source);

    private BlockStatus Synced(IoRequest request, BlockStatus status) =>
        status == BlockStatus.Ok && (request.Flags & RequestFlags.ForceUnitAccess) != 0 ? durability.Sync() : status;
}
