using System.Buffers.Binary;
using Colo.Nbd.Wire;

namespace Colo.Nbd.Client;

/// <summary>
/// Requests gathered for one send: headers and small payloads in one buffer, large payloads where their callers have them.
/// </summary>
/// <remarks>Filled under the pipeline's lock, sent by one thread at a time; never both at once.</remarks>
internal sealed class SendBatch(int coalesceBytes)
{
    private const int CompactHeaderBytes = 28;
    private const int ExtendedHeaderBytes = 32;

    private byte[] buffer = new byte[64 << 10];
    private int used;
    private Segment[] segments = new Segment[16];
    private int segmentCount;
    private int sendingSegment;
    private int sentOfSegment;

    public bool IsEmpty => segmentCount == 0;

    public void Add(PendingRequest request, bool extended)
    {
        bool inPlace = request.Source.Length > coalesceBytes;
        int headerBytes = extended ? ExtendedHeaderBytes : CompactHeaderBytes;
        Span<byte> place = Reserve(headerBytes + (inPlace ? 0 : request.Source.Length));
        WriteHeader(place, request.Command, request.Flags, request.Cookie, request.Offset, request.Length, extended);
        if (!inPlace)
        {
            request.Source.Span.CopyTo(place[headerBytes..]);
            return;
        }

        request.BeginSending();
        AddSegment(new Segment(0, request.Source.Length, request));
    }

    public void AddDisconnect(bool extended) =>
        WriteHeader(
            Reserve(extended ? ExtendedHeaderBytes : CompactHeaderBytes), NbdCommand.Disconnect, NbdCommandFlags.None, 0, 0, 0, extended);

    /// <returns>True when all is sent; false when the socket takes no more now.</returns>
    /// <exception cref="IOException">the connection has ended.</exception>
    public bool TrySend(ClientTransport transport, ref long sends)
    {
        while (sendingSegment < segmentCount)
        {
            ref Segment segment = ref segments[sendingSegment];
            ReadOnlySpan<byte> bytes = segment.Request is null
                ? buffer.AsSpan(segment.Start, segment.Length)
                : segment.Request.Source.Span;
            int sent = transport.TrySend(bytes[sentOfSegment..]);
            if (sent < 0)
            {
                return false;
            }

            sends++;
            sentOfSegment += sent;
            if (sentOfSegment == segment.Length)
            {
                PendingRequest? request = segment.Request;
                segment = default;
                sendingSegment++;
                sentOfSegment = 0;

                // Last: from here on the request may be answered and used again.
                request?.EndSending();
            }
        }

        return transport.TryFlush();
    }

    /// <summary>Forgets everything; payloads that were not sent are given back.</summary>
    public void Clear()
    {
        int from = sendingSegment;
        int to = segmentCount;
        used = segmentCount = sendingSegment = sentOfSegment = 0;
        for (int i = from; i < to; i++)
        {
            PendingRequest? request = segments[i].Request;
            segments[i] = default;
            request?.EndSending();
        }
    }

    /// <summary>proto.md, "Request message": compact (32-bit length) and extended (64-bit length) form.</summary>
    private static void WriteHeader(
        Span<byte> to, NbdCommand command, NbdCommandFlags flags, ulong cookie, long offset, long length, bool extended)
    {
        if (extended && command == NbdCommand.Write)
        {
            // With extended headers a payload is announced by this flag.
            flags |= NbdCommandFlags.PayloadLength;
        }

        BinaryPrimitives.WriteUInt32BigEndian(to, extended ? NbdMagic.ExtendedRequest : NbdMagic.Request);
        BinaryPrimitives.WriteUInt16BigEndian(to[4..], (ushort)flags);
        BinaryPrimitives.WriteUInt16BigEndian(to[6..], (ushort)command);
        BinaryPrimitives.WriteUInt64BigEndian(to[8..], cookie);
        BinaryPrimitives.WriteInt64BigEndian(to[16..], offset);
        if (extended)
        {
            BinaryPrimitives.WriteInt64BigEndian(to[24..], length);
        }
        else
        {
            BinaryPrimitives.WriteUInt32BigEndian(to[24..], checked((uint)length));
        }
    }

    private Span<byte> Reserve(int bytes)
    {
        if (used + bytes > buffer.Length)
        {
            // Bounded: by the requests in flight times header and coalesced payload.
            Array.Resize(ref buffer, Math.Max(used + bytes, buffer.Length * 2));
        }

        if (segmentCount > 0 && segments[segmentCount - 1] is { Request: null } last)
        {
            segments[segmentCount - 1] = last with { Length = last.Length + bytes };
        }
        else
        {
            AddSegment(new Segment(used, bytes, Request: null));
        }

        used += bytes;
        return buffer.AsSpan(used - bytes, bytes);
    }

    private void AddSegment(Segment segment)
    {
        if (segmentCount == segments.Length)
        {
            Array.Resize(ref segments, segments.Length * 2);
        }

        segments[segmentCount++] = segment;
    }

    /// <summary>Bytes of the buffer, or the payload of <paramref name="Request"/> in place.</summary>
    private readonly record struct Segment(int Start, int Length, PendingRequest? Request);
}
