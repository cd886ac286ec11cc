using Colo.Blocks;
using Colo.Nbd.Wire;

namespace Colo.Nbd.Client;

/// <summary>
/// A remote NBD export as a disk: one connection, many requests in flight, replies in any order.
/// </summary>
/// <remarks>
/// Requests reach the wire in the order of the calls. Inside an <see cref="IoBatch"/> they leave together at its end. Answers are
/// given on the connection's receive thread: a continuation must not block it.
/// </remarks>
public sealed class NbdClientDevice : IBlockDevice
{
    /// <summary>Without extended headers a length is 32 bits; a power of two keeps every piece aligned.</summary>
    private const long MaxCompactLengthBytes = 1L << 30;

    private const int MaxPiecesAtOnce = 256;

    private readonly RequestPipeline pipeline;
    private readonly ConnectionLoop loop;
    private readonly int maxPayloadBytes;
    private readonly long maxEffectBytes;
    private readonly uint alignmentMask;
    private readonly NbdCommandFlags readFlags;

    private NbdClientDevice(NbdClientOptions options, RequestPipeline pipeline, ConnectionLoop loop, NbdExportInfo export)
    {
        (this.pipeline, this.loop, Export) = (pipeline, loop, export);
        uint minimum = export.MinimumBlockBytes;
        alignmentMask = minimum - 1;
        LengthBytes = (long)export.SizeBytes & ~(long)alignmentMask;
        maxPayloadBytes = (int)(Math.Min((uint)options.MaxPayloadBytes, export.MaximumPayloadBytes) & ~alignmentMask);
        maxEffectBytes = export.ExtendedHeaders ? long.MaxValue : MaxCompactLengthBytes;
        readFlags = options.DontFragmentReads && Has(NbdTransmissionFlags.SendDf) && export.StructuredReplies
            ? NbdCommandFlags.Df
            : NbdCommandFlags.None;
        Capabilities = new DeviceCapabilities(
            IsReadOnly: Has(NbdTransmissionFlags.ReadOnly),
            CanDiscard: Has(NbdTransmissionFlags.SendTrim),
            CanZeroFast: Has(NbdTransmissionFlags.SendFastZero),
            FlushCoversAll: Has(NbdTransmissionFlags.CanMultiConn),
            MinimumBlockBytes: (int)minimum,
            PreferredBlockBytes: (int)Math.Max(minimum, Math.Min(export.PreferredBlockBytes, (uint)maxPayloadBytes)));
    }

    /// <summary>Raised on the connection's thread, in order; a handler must not block.</summary>
    public event EventHandler<NbdClientStateChange>? StateChanged
    {
        add => loop.StateChanged += value;
        remove => loop.StateChanged -= value;
    }

    /// <summary>What the first handshake agreed on; a reconnect that finds anything else is refused.</summary>
    public NbdExportInfo Export { get; }

    /// <summary>The server's size cut to whole minimum blocks: a partial one behind them cannot be addressed.</summary>
    public long LengthBytes { get; }

    public DeviceCapabilities Capabilities { get; }

    public NbdClientState State => loop.State;

    /// <summary>Why the connection was lost last; null while nothing was.</summary>
    public NbdClientException? LastError => loop.LastError;

    public bool SupportsCheckpoint => Export.CheckpointId.HasValue;

    /// <summary>Writes, zeroes and discards that were answered, by the time from the wire to the answer; see <see cref="LatencyBuckets"/>.</summary>
    public IReadOnlyList<long> ChangeLatencies => pipeline.ChangeLatencies();

    public NbdClientCounters Counters => pipeline.Snapshot(loop.Reconnects);

    /// <summary>Connects and negotiates.</summary>
    /// <exception cref="NbdClientException">no connection, or no agreement; its kind says why.</exception>
    public static async Task<NbdClientDevice> ConnectAsync(NbdClientOptions options, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(options);
        options.Validate();
        RequestPipeline pipeline = new(options);
        ConnectionLoop loop = new(options, pipeline);
        NbdExportInfo export = await loop.StartAsync(cancellationToken);
        return new NbdClientDevice(options, pipeline, loop, export);
    }

    public ValueTask<BlockStatus> ReadAsync(long offsetBytes, Memory<byte> destination)
    {
        if (!IsInside(offsetBytes, destination.Length) || !IsAligned(offsetBytes, destination.Length))
        {
            return new(BlockStatus.InvalidArgument);
        }

        if (destination.Length <= maxPayloadBytes && destination.Length > 0)
        {
            PendingRequest request = pipeline.Rent(NbdCommand.Read, readFlags, offsetBytes, destination.Length);
            request.Destination = destination;
            return pipeline.Submit(request);
        }

        return destination.IsEmpty ? new(BlockStatus.Ok) : ReadInPiecesAsync(offsetBytes, destination);
    }

    public ValueTask<BlockStatus> WriteAsync(long offsetBytes, ReadOnlyMemory<byte> source, RequestFlags flags = RequestFlags.None)
    {
        BlockStatus refusal = CheckChange(offsetBytes, source.Length, BlockStatus.NoSpace);
        if (refusal != BlockStatus.Ok)
        {
            return new(refusal);
        }

        if (MustEmulateFua(flags))
        {
            return ThenFlushAsync(WriteAsync(offsetBytes, source, flags & ~RequestFlags.ForceUnitAccess));
        }

        if (source.Length <= maxPayloadBytes && source.Length > 0)
        {
            PendingRequest request = pipeline.Rent(NbdCommand.Write, FuaOf(flags), offsetBytes, source.Length);
            request.Source = source;
            return pipeline.Submit(request);
        }

        return source.IsEmpty ? new(BlockStatus.Ok) : WriteInPiecesAsync(offsetBytes, source, flags);
    }

    public ValueTask<BlockStatus> WriteZeroesAsync(BlockRange range, RequestFlags flags = RequestFlags.None)
    {
        BlockStatus refusal = CheckChange(range.Offset, range.Length, BlockStatus.NoSpace);
        if (refusal != BlockStatus.Ok || range.IsEmpty)
        {
            return new(refusal);
        }

        bool fastOnly = (flags & RequestFlags.FastOnly) != 0;
        if (fastOnly && !Has(NbdTransmissionFlags.SendFastZero))
        {
            return new(BlockStatus.NotSupported);
        }

        if (MustEmulateFua(flags))
        {
            return ThenFlushAsync(WriteZeroesAsync(range, flags & ~RequestFlags.ForceUnitAccess));
        }

        if (!Has(NbdTransmissionFlags.SendWriteZeroes))
        {
            return WriteZeroBytesAsync(range, flags);
        }

        NbdCommandFlags wireFlags = FuaOf(flags)
            | ((flags & RequestFlags.MayUnmap) == 0 ? NbdCommandFlags.NoHole : NbdCommandFlags.None)
            | (fastOnly ? NbdCommandFlags.FastZero : NbdCommandFlags.None);
        return SubmitEffect(NbdCommand.WriteZeroes, wireFlags, range);
    }

    public ValueTask<BlockStatus> DiscardAsync(BlockRange range, RequestFlags flags = RequestFlags.None)
    {
        BlockStatus refusal = CheckChange(range.Offset, range.Length, BlockStatus.InvalidArgument);
        if (refusal != BlockStatus.Ok || range.IsEmpty || !Has(NbdTransmissionFlags.SendTrim))
        {
            return new(refusal);
        }

        return MustEmulateFua(flags)
            ? ThenFlushAsync(DiscardAsync(range, flags & ~RequestFlags.ForceUnitAccess))
            : SubmitEffect(NbdCommand.Trim, FuaOf(flags), range);
    }

    /// <summary>Where the server has no FLUSH its writes are durable when answered (proto.md), and this answers Ok at once.</summary>
    public ValueTask<BlockStatus> FlushAsync() =>
        Has(NbdTransmissionFlags.SendFlush)
            ? pipeline.Submit(pipeline.Rent(NbdCommand.Flush, NbdCommandFlags.None, 0, 0))
            : new(pipeline.ClosedStatus);

    /// <summary>Asks the server to have the range at hand (NBD_CMD_CACHE).</summary>
    public ValueTask<BlockStatus> CacheAsync(BlockRange range)
    {
        if (!IsInside(range.Offset, range.Length) || !IsAligned(range.Offset, range.Length))
        {
            return new(BlockStatus.InvalidArgument);
        }

        return !Has(NbdTransmissionFlags.SendCache) ? new(BlockStatus.NotSupported)
            : range.IsEmpty ? new(BlockStatus.Ok)
            : SubmitEffect(NbdCommand.Cache, NbdCommandFlags.None, range);
    }

    /// <summary>
    /// Ends epoch <paramref name="epoch"/> on the server, in order: it covers every request submitted before this call and none
    /// after it. <see cref="BlockStatus.NotSupported"/> unless <see cref="SupportsCheckpoint"/>. Never sent twice: a reconnect
    /// answers a pending one <see cref="BlockStatus.IoError"/>.
    /// </summary>
    public ValueTask<BlockStatus> CheckpointAsync(long epoch) =>
        SupportsCheckpoint
            ? pipeline.Submit(pipeline.Rent(NbdCommand.ColoCheckpoint, NbdCommandFlags.None, epoch, 0))
            : new(BlockStatus.NotSupported);

    public ValueTask<BlockStatus> GetExtentsAsync(BlockRange range, IList<BlockExtent> extents, int maxExtents = int.MaxValue)
    {
        ArgumentNullException.ThrowIfNull(extents);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(maxExtents);
        if (!IsInside(range.Offset, range.Length) || !IsAligned(range.Offset, range.Length))
        {
            return new(BlockStatus.InvalidArgument);
        }

        if (range.IsEmpty || !Export.BaseAllocationId.HasValue)
        {
            // Nothing is known: data is the safe answer.
            extents.Add(new BlockExtent(range, ExtentKind.Data));
            return new(pipeline.ClosedStatus);
        }

        PendingRequest request = pipeline.Rent(
            NbdCommand.BlockStatus,
            maxExtents == 1 ? NbdCommandFlags.ReqOne : NbdCommandFlags.None,
            range.Offset,
            Math.Min(range.Length, maxEffectBytes));
        request.CollectInto(extents, maxExtents);
        return pipeline.Submit(request);
    }

    /// <summary>Says DISC, waits shortly for replies on their way, and answers the rest <see cref="BlockStatus.Shutdown"/>.</summary>
    public ValueTask DisposeAsync() => loop.DisposeAsync();

    private bool Has(NbdTransmissionFlags flag) => (Export.Flags & flag) != 0;

    private bool IsInside(long offsetBytes, long lengthBytes) => offsetBytes >= 0 && offsetBytes <= LengthBytes - lengthBytes;

    private bool IsAligned(long offsetBytes, long lengthBytes) => ((offsetBytes | lengthBytes) & alignmentMask) == 0;

    private bool MustEmulateFua(RequestFlags flags) =>
        (flags & RequestFlags.ForceUnitAccess) != 0
        && !Has(NbdTransmissionFlags.SendFua) && Has(NbdTransmissionFlags.SendFlush);

    private NbdCommandFlags FuaOf(RequestFlags flags) =>
        (flags & RequestFlags.ForceUnitAccess) != 0 && Has(NbdTransmissionFlags.SendFua)
            ? NbdCommandFlags.Fua
            : NbdCommandFlags.None;

    private BlockStatus CheckChange(long offsetBytes, long lengthBytes, BlockStatus pastEnd) =>
        Has(NbdTransmissionFlags.ReadOnly) ? BlockStatus.NotPermitted
        : !IsInside(offsetBytes, lengthBytes) ? (offsetBytes < 0 ? BlockStatus.InvalidArgument : pastEnd)
        : !IsAligned(offsetBytes, lengthBytes) ? BlockStatus.InvalidArgument
        : BlockStatus.Ok;

    private ValueTask<BlockStatus> SubmitEffect(NbdCommand command, NbdCommandFlags flags, BlockRange range) =>
        range.Length <= maxEffectBytes
            ? pipeline.Submit(pipeline.Rent(command, flags, range.Offset, range.Length))
            : EffectInPiecesAsync(command, flags, range);

    // The slow paths: pieces are submitted at once and in order, so that the call keeps its place on the wire; then each is
    // waited for, and the first error is the answer.

    private async ValueTask<BlockStatus> ReadInPiecesAsync(long offsetBytes, Memory<byte> destination)
    {
        PieceList pieces = new(destination.Length, maxPayloadBytes);
        using (IoBatch.Begin())
        {
            for (int done = 0; done < destination.Length; done += maxPayloadBytes)
            {
                int length = Math.Min(maxPayloadBytes, destination.Length - done);
                pieces.Add(ReadAsync(offsetBytes + done, destination.Slice(done, length)));
            }
        }

        return await pieces.WhenAllAsync();
    }

    private async ValueTask<BlockStatus> WriteInPiecesAsync(long offsetBytes, ReadOnlyMemory<byte> source, RequestFlags flags)
    {
        PieceList pieces = new(source.Length, maxPayloadBytes);
        using (IoBatch.Begin())
        {
            for (int done = 0; done < source.Length; done += maxPayloadBytes)
            {
                int length = Math.Min(maxPayloadBytes, source.Length - done);
                pieces.Add(WriteAsync(offsetBytes + done, source.Slice(done, length), flags));
            }
        }

        return await pieces.WhenAllAsync();
    }

    private async ValueTask<BlockStatus> EffectInPiecesAsync(NbdCommand command, NbdCommandFlags flags, BlockRange range)
    {
        // In windows: without extended headers a disk of many TiB would be many thousand pieces.
        long windowBytes = maxEffectBytes * MaxPiecesAtOnce;
        for (long window = 0; window < range.Length; window += windowBytes)
        {
            long windowLength = Math.Min(windowBytes, range.Length - window);
            PieceList pieces = new(windowLength, maxEffectBytes);
            using (IoBatch.Begin())
            {
                for (long done = 0; done < windowLength; done += maxEffectBytes)
                {
                    long length = Math.Min(maxEffectBytes, windowLength - done);
                    pieces.Add(pipeline.Submit(pipeline.Rent(command, flags, range.Offset + window + done, length)));
                }
            }

            BlockStatus status = await pieces.WhenAllAsync();
            if (status != BlockStatus.Ok)
            {
                return status;
            }
        }

        return BlockStatus.Ok;
    }

    /// <summary>For a server without WRITE_ZEROES. One piece at a time: the range may be the whole disk.</summary>
    private async ValueTask<BlockStatus> WriteZeroBytesAsync(BlockRange range, RequestFlags flags)
    {
        byte[] zeroes = new byte[Math.Min(range.Length, Math.Min(maxPayloadBytes, Math.Max(1 << 20, (int)alignmentMask + 1)))];
        for (long done = 0; done < range.Length; done += zeroes.Length)
        {
            int length = (int)Math.Min(zeroes.Length, range.Length - done);
            BlockStatus status = await WriteAsync(range.Offset + done, zeroes.AsMemory(0, length), flags & RequestFlags.ForceUnitAccess);
            if (status != BlockStatus.Ok)
            {
                return status;
            }
        }

        return BlockStatus.Ok;
    }

    private async ValueTask<BlockStatus> ThenFlushAsync(ValueTask<BlockStatus> change)
    {
        BlockStatus status = await change;
        return status == BlockStatus.Ok ? await FlushAsync() : status;
    }

    /// <summary>The pieces of one split request.</summary>
    private sealed class PieceList(long length, long pieceLength)
    {
        private readonly ValueTask<BlockStatus>[] pieces = new ValueTask<BlockStatus>[((length - 1) / pieceLength) + 1];
        private int count;

        public void Add(ValueTask<BlockStatus> piece) => pieces[count++] = piece;

        public async ValueTask<BlockStatus> WhenAllAsync()
        {
            BlockStatus first = BlockStatus.Ok;
            for (int i = 0; i < count; i++)
            {
                BlockStatus status = await pieces[i];
                first = first == BlockStatus.Ok ? status : first;
            }

            return first;
        }
    }
}
