using System.Buffers.Binary;
using Colo.Blocks;
using Colo.Nbd.Wire;
using Microsoft.Extensions.Logging;

namespace Colo.Nbd.Client;

/// <summary>
/// Reads the replies of one connection and answers the requests: all that one receive brought, in one batch. Receive thread only.
/// </summary>
/// <remarks>Believes nothing: a reply must belong to a request on the wire, have the form that was negotiated and a length that its
/// kind can have; anything else ends the connection. Holds one buffer, whatever is sent.</remarks>
internal sealed class ReplyReceiver(
    RequestPipeline pipeline, NbdExportInfo export, NbdClientOptions options, byte[] buffer)
{
    /// <summary>An error chunk: code, a message within the limit of strings, an offset.</summary>
    private const int MaxErrorPayloadBytes = 4 + 2 + NbdLimits.MaxStringBytes + 8;

    /// <summary>From here on a read's data is received where its caller wants it; below, one receive brings it with its neighbours.</summary>
    private const int DirectReceiveBytes = 32 << 10;

    private int start;
    private int end;
    private Mode mode;
    private PendingRequest? current;
    private bool endsReply;
    private long position;
    private long remaining;

    private enum Mode
    {
        Header,
        Data,
        Extents,
    }

    /// <summary>Whether this connection answered anything.</summary>
    public bool HasAnswered { get; private set; }

    /// <summary>Returns when the server closes the connection.</summary>
    /// <exception cref="NbdClientException">the server broke the protocol.</exception>
    /// <exception cref="IOException">the connection failed.</exception>
    public void Run(ClientTransport transport)
    {
        int received;
        do
        {
            using (IoBatch.Begin())
            {
                while (Step())
                {
                }
            }

            received = ReceiveMore(transport);
        }
        while (received > 0);
    }

    private ReadOnlySpan<byte> Buffered => buffer.AsSpan(start, end - start);

    private int ReceiveMore(ClientTransport transport)
    {
        int received;
        if (mode == Mode.Data && start == end && remaining >= DirectReceiveBytes)
        {
            received = transport.Receive(current!.Destination.Span.Slice((int)position, (int)remaining));
            position += received;
            remaining -= received;
            return received;
        }

        if (start == end)
        {
            start = end = 0;
        }
        else if (buffer.Length - end < buffer.Length / 4)
        {
            Buffered.CopyTo(buffer);
            (start, end) = (0, end - start);
        }

        received = transport.Receive(buffer.AsSpan(end));
        end += received;
        return received;
    }

    /// <returns>False when it needs more bytes.</returns>
    private bool Step() => mode switch
    {
        Mode.Data => StepData(),
        Mode.Extents => StepExtents(),
        _ => StepHeader(),
    };

    private bool StepHeader()
    {
        ReadOnlySpan<byte> bytes = Buffered;
        if (!ReplyHeader.TryParse(bytes, export, options.Endpoint, out ReplyHeader header))
        {
            return false;
        }

        PendingRequest request = pipeline.Find(header.Cookie) ?? throw new NbdClientException(
            NbdClientErrorKind.UnknownCookie, $"{options.Endpoint}: a reply with cookie {header.Cookie:x16}, which is no request of ours");
        if (header.IsSimple)
        {
            TakeSimpleReply(request, header);
            return true;
        }

        return TakeChunk(request, header, bytes[header.HeaderBytes..]);
    }

    private void TakeSimpleReply(PendingRequest request, in ReplyHeader header)
    {
        BlockStatus status = StatusOf(header.Error);
        bool needsChunks = request.Command == NbdCommand.BlockStatus
            || (request.Command == NbdCommand.Read && export.StructuredReplies);
        if (needsChunks && (status == BlockStatus.Ok || request.Command == NbdCommand.Read))
        {
            throw Unexpected(request, "a simple reply");
        }

        start += header.HeaderBytes;
        if (request.Command == NbdCommand.Read && status == BlockStatus.Ok)
        {
            request.Reply.TryAddRun(0, request.Length);
            BeginPayload(Mode.Data, request, position: 0, remaining: request.Length, done: true);
            return;
        }

        Complete(request, status);
    }

    /// <summary>One structured or extended reply chunk. Consumes it, or nothing where more bytes are needed (false).</summary>
    private bool TakeChunk(PendingRequest request, in ReplyHeader header, ReadOnlySpan<byte> payload)
    {
        if (header.Offset is { } offset && offset != request.Offset)
        {
            throw Unexpected(request, "an extended reply for another offset");
        }

        switch (header.Type)
        {
            case NbdReplyType.None:
                RequireLength(header.PayloadBytes == 0 && header.IsDone, request, header.Type, header.PayloadBytes);
                start += header.HeaderBytes;
                Finish(request);
                return true;
            case NbdReplyType.OffsetData:
                return TakeOffsetData(request, header, payload);
            case NbdReplyType.OffsetHole:
                return TakeOffsetHole(request, header, payload);
            case NbdReplyType.BlockStatus when !export.ExtendedHeaders:
            case NbdReplyType.BlockStatusExtended when export.ExtendedHeaders:
                return TakeBlockStatus(request, header, payload);
            default:
                return ((ushort)header.Type & 0x8000) != 0
                    ? TakeError(request, header, payload)
                    : throw Unexpected(request, $"a chunk of type {header.Type}");
        }
    }

    private bool TakeOffsetData(PendingRequest request, in ReplyHeader header, ReadOnlySpan<byte> payload)
    {
        ulong length = header.PayloadBytes;
        RequireCommand(request, NbdCommand.Read, NbdReplyType.OffsetData);
        RequireLength(length > 8 && length - 8 <= (ulong)request.Length, request, NbdReplyType.OffsetData, length);
        if (payload.Length < 8)
        {
            return false;
        }

        long at = AddRun(request, BinaryPrimitives.ReadUInt64BigEndian(payload), (long)length - 8);
        start += header.HeaderBytes + 8;
        BeginPayload(Mode.Data, request, at, (long)length - 8, header.IsDone);
        return true;
    }

    private bool TakeOffsetHole(PendingRequest request, in ReplyHeader header, ReadOnlySpan<byte> payload)
    {
        ulong length = header.PayloadBytes;
        RequireCommand(request, NbdCommand.Read, NbdReplyType.OffsetHole);
        RequireLength(length == 12, request, NbdReplyType.OffsetHole, length);
        if (payload.Length < 12)
        {
            return false;
        }

        uint size = BinaryPrimitives.ReadUInt32BigEndian(payload[8..]);
        RequireLength(size > 0 && size <= request.Length, request, NbdReplyType.OffsetHole, size);
        long at = AddRun(request, BinaryPrimitives.ReadUInt64BigEndian(payload), size);
        request.Destination.Span.Slice((int)at, (int)size).Clear();
        start += header.HeaderBytes + 12;
        FinishIf(header.IsDone, request);
        return true;
    }

    private bool TakeBlockStatus(PendingRequest request, in ReplyHeader header, ReadOnlySpan<byte> payload)
    {
        ulong length = header.PayloadBytes;
        NbdReplyType type = export.ExtendedHeaders ? NbdReplyType.BlockStatusExtended : NbdReplyType.BlockStatus;
        int prefixBytes = export.ExtendedHeaders ? 8 : 4;
        int descriptorBytes = export.ExtendedHeaders ? 16 : 8;
        RequireCommand(request, NbdCommand.BlockStatus, type);
        RequireLength(
            length >= (ulong)(prefixBytes + descriptorBytes) && length <= NbdLimits.MaxPayloadBytes
                && (length - (ulong)prefixBytes) % (ulong)descriptorBytes == 0,
            request, type, length);
        if (payload.Length < prefixBytes)
        {
            return false;
        }

        uint context = BinaryPrimitives.ReadUInt32BigEndian(payload);
        long descriptors = ((long)length - prefixBytes) / descriptorBytes;
        RequireLength(
            !export.ExtendedHeaders || BinaryPrimitives.ReadUInt32BigEndian(payload[4..]) == descriptors, request, type, length);
        bool isAllocation = context == export.BaseAllocationId;
        if (isAllocation ? request.Reply.HasExtents : context != export.CheckpointId || request.Reply.HasOtherContext)
        {
            throw Unexpected(request, $"block status of context {context}, twice or not asked for");
        }

        request.Reply.HasExtents |= isAllocation;
        request.Reply.HasOtherContext |= !isAllocation;
        start += header.HeaderBytes + prefixBytes;

        // Where only the checkpoint context speaks, its descriptors are passed over: beyond the end nothing is collected.
        BeginPayload(Mode.Extents, request, isAllocation ? 0 : request.Length, descriptors, header.IsDone);
        return true;
    }

    private bool TakeError(PendingRequest request, in ReplyHeader header, ReadOnlySpan<byte> payload)
    {
        (NbdReplyType type, ulong length) = (header.Type, header.PayloadBytes);
        RequireLength(length is >= 6 and <= MaxErrorPayloadBytes, request, type, length);
        if (payload.Length < (int)length)
        {
            return false;
        }

        payload = payload[..(int)length];
        BlockStatus status = StatusOf(BinaryPrimitives.ReadUInt32BigEndian(payload));
        int messageBytes = BinaryPrimitives.ReadUInt16BigEndian(payload[4..]);
        int offsetBytes = type == NbdReplyType.ErrorOffset ? 8 : 0;
        RequireLength(
            messageBytes <= payload.Length - 6 - offsetBytes
                && (type is not (NbdReplyType.Error or NbdReplyType.ErrorOffset) || messageBytes == payload.Length - 6 - offsetBytes),
            request, type, length);
        if (status == BlockStatus.Ok || !request.Reply.TryAddError(status))
        {
            throw Unexpected(request, status == BlockStatus.Ok ? "an error chunk without an error" : "too many error chunks");
        }

        long failedAt = offsetBytes == 0 ? request.Offset : BinaryPrimitives.ReadInt64BigEndian(payload[(6 + messageBytes)..]);
        NbdClientLog.RequestFailed(options.Logger, request.Command, failedAt, request.Length, status);
        start += header.HeaderBytes + (int)length;
        FinishIf(header.IsDone, request);
        return true;
    }

    private bool StepData()
    {
        int available = (int)Math.Min(remaining, end - start);
        if (available > 0)
        {
            buffer.AsSpan(start, available).CopyTo(current!.Destination.Span[(int)position..]);
            start += available;
            position += available;
            remaining -= available;
        }

        if (remaining > 0)
        {
            return false;
        }

        EndPayload();
        return true;
    }

    /// <summary>Here <see cref="remaining"/> counts descriptors, and <see cref="position"/> is relative to the request.</summary>
    private bool StepExtents()
    {
        int descriptorBytes = export.ExtendedHeaders ? 16 : 8;
        PendingRequest request = current!;
        while (remaining > 0)
        {
            ReadOnlySpan<byte> bytes = Buffered;
            if (bytes.Length < descriptorBytes)
            {
                return false;
            }

            (ulong length, ulong flags) = export.ExtendedHeaders
                ? (BinaryPrimitives.ReadUInt64BigEndian(bytes), BinaryPrimitives.ReadUInt64BigEndian(bytes[8..]))
                : (BinaryPrimitives.ReadUInt32BigEndian(bytes), BinaryPrimitives.ReadUInt32BigEndian(bytes[4..]));
            RequireLength(length > 0, request, NbdReplyType.BlockStatus, length);
            start += descriptorBytes;
            remaining--;
            if (position < request.Length)
            {
                // proto.md: the last extent may reach past the end of the request.
                long clipped = (long)Math.Min(length, (ulong)(request.Length - position));
                request.AddExtent(new BlockExtent(
                    new BlockRange(request.Offset + position, clipped), (ExtentKind)flags & (ExtentKind.Hole | ExtentKind.Zero)));
                position += clipped;
            }
        }

        EndPayload();
        return true;
    }

    private void BeginPayload(Mode payload, PendingRequest request, long position, long remaining, bool done) =>
        (mode, current, this.position, this.remaining, endsReply) = (payload, request, position, remaining, done);

    private void EndPayload()
    {
        PendingRequest request = current!;
        (mode, current) = (Mode.Header, null);
        FinishIf(endsReply, request);
    }

    private void FinishIf(bool done, PendingRequest request)
    {
        if (done)
        {
            Finish(request);
        }
    }

    /// <summary>The reply is whole: an error was told, or everything asked for is there.</summary>
    private void Finish(PendingRequest request)
    {
        ReplyProgress reply = request.Reply;
        if (reply.Error == BlockStatus.Ok
            && ((request.Command == NbdCommand.Read && !reply.IsComplete(request.Length))
                || (request.Command == NbdCommand.BlockStatus && !reply.HasExtents)))
        {
            throw Unexpected(request, "a reply that ends without all that was asked for");
        }

        Complete(request, reply.Error);
    }

    private void Complete(PendingRequest request, BlockStatus status)
    {
        HasAnswered = true;
        pipeline.Complete(request, status);
    }

    /// <returns>Where in the request's buffer the run starts.</returns>
    private long AddRun(PendingRequest request, ulong offset, long length)
    {
        if (offset < (ulong)request.Offset || offset - (ulong)request.Offset > (ulong)(request.Length - length))
        {
            throw Unexpected(request, $"data at {offset}, {length} bytes, outside the request");
        }

        long at = (long)offset - request.Offset;
        return request.Reply.TryAddRun(at, at + length)
            ? at
            : throw Unexpected(request, $"data at {offset}, {length} bytes, twice or too scattered");
    }

    private void RequireCommand(PendingRequest request, NbdCommand command, NbdReplyType type)
    {
        if (request.Command != command)
        {
            throw Unexpected(request, $"a chunk of type {type}");
        }
    }

    private void RequireLength(bool isGood, PendingRequest request, NbdReplyType type, ulong length)
    {
        if (!isGood)
        {
            throw new NbdClientException(
                NbdClientErrorKind.BadLength, $"{options.Endpoint}: {request.Command} is answered with {type} of length {length}");
        }
    }

    private NbdClientException Unexpected(PendingRequest request, string what) => new(
        NbdClientErrorKind.UnexpectedReply,
        $"{options.Endpoint}: {request.Command} at {request.Offset}, {request.Length} bytes, is answered with {what}");

    /// <summary>proto.md, "Error values": unknown ones are treated as EINVAL.</summary>
    private static BlockStatus StatusOf(uint error) => (BlockStatus)error switch
    {
        var known and (BlockStatus.Ok or BlockStatus.NotPermitted or BlockStatus.IoError or BlockStatus.OutOfMemory
            or BlockStatus.InvalidArgument or BlockStatus.NoSpace or BlockStatus.Overflow or BlockStatus.NotSupported
            or BlockStatus.Shutdown) => known,
        _ => BlockStatus.InvalidArgument,
    };
}
