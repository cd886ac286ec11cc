namespace Colo.Nbd.Client;

/// <summary>
/// What SslStream sees: reads go to the socket; writes too during TLS's handshake, and afterwards into a buffer, because
/// SslStream cannot take back half of what it encrypted when the socket is full.
/// </summary>
internal sealed class TlsWire(ClientTransport transport) : Stream
{
    private readonly Lock gate = new();
    private byte[] buffer = [];
    private int start;
    private int end;
    private bool gathers;

    public override bool CanRead => true;

    public override bool CanSeek => false;

    public override bool CanWrite => true;

    public override long Length => throw new NotSupportedException();

    public override long Position
    {
        get => throw new NotSupportedException();
        set => throw new NotSupportedException();
    }

    public void Gather() => gathers = true;

    public bool TrySendGathered()
    {
        lock (gate)
        {
            while (start < end)
            {
                int sent = transport.TrySendRaw(buffer.AsSpan(start, end - start));
                if (sent < 0)
                {
                    return false;
                }

                start += sent;
            }

            start = end = 0;
            return true;
        }
    }

    public override int Read(Span<byte> destination) => transport.ReceiveRaw(destination);

    public override int Read(byte[] destination, int offset, int count) => Read(destination.AsSpan(offset, count));

    public override void Write(ReadOnlySpan<byte> source)
    {
        lock (gate)
        {
            if (end + source.Length > buffer.Length)
            {
                Array.Resize(ref buffer, Math.Max(end + source.Length, Math.Max(buffer.Length * 2, 256 << 10)));
            }

            source.CopyTo(buffer.AsSpan(end));
            end += source.Length;
        }

        while (!gathers && !TrySendGathered())
        {
            transport.WaitUntilWritable();
        }
    }

    public override void Write(byte[] source, int offset, int count) => Write(source.AsSpan(offset, count));

    public override void Flush()
    {
        // Nothing is held back that TrySendGathered would not send.
    }

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    public override void SetLength(long value) => throw new NotSupportedException();
}
