namespace Colo.Nbd.Transmission;

/// <summary>
/// Where a session receives: its current buffer, and when the next one is taken. A whole request always comes to lie in one piece, so
/// that its payload can go to the device where it lies. The session's thread alone moves it.
/// </summary>
internal sealed class ReceiveWindow
{
    /// <summary>Of a payload larger than this the rest is received exactly, so that nothing behind it has to be moved.</summary>
    private const int ExactReceiveBytes = 64 << 10;

    private readonly ReceiveBufferPool buffers;
    private int receiveLimit;
    private int bufferWanted;

    public ReceiveWindow(int standardBytes, long maxBytes)
    {
        buffers = new ReceiveBufferPool(standardBytes, maxBytes);
        Buffer = buffers.Rent(standardBytes);
        receiveLimit = Buffer.Capacity;
    }

    /// <summary>What has been received and is not consumed lies in this one.</summary>
    public ReceiveBuffer Buffer { get; private set; }

    /// <summary>Never empty after <see cref="TryMakeRoom"/> said yes.</summary>
    public Memory<byte> Space => Buffer.FreeSpace[..Math.Min(receiveLimit, Buffer.FreeSpace.Length)];

    /// <summary>Room was refused, and there still is none.</summary>
    public bool IsBlocked => bufferWanted > 0 && !CanGetBuffer();

    /// <summary>Makes room so that <paramref name="wholeBytes"/> can lie in one piece from the first unread byte on.</summary>
    /// <returns>False: the buffers are with the device; see <see cref="IsBlocked"/>.</returns>
    public bool TryMakeRoom(int wholeBytes)
    {
        if (Buffer.Available == 0 && Buffer.IsExclusive)
        {
            Buffer.Compact();
        }

        bool fits = Buffer.Capacity - Buffer.Start >= wholeBytes;
        bool returnsToStandard = Buffer.Capacity > buffers.StandardBytes && wholeBytes <= buffers.StandardBytes;
        if (!fits && !returnsToStandard && wholeBytes <= Buffer.Capacity && Buffer.IsExclusive)
        {
            Buffer.Compact();
        }
        else if (!fits || returnsToStandard)
        {
            bufferWanted = Math.Max(wholeBytes, buffers.StandardBytes);
            if (!CanGetBuffer())
            {
                return false;
            }

            ReceiveBuffer next = buffers.Rent(bufferWanted);
            next.TakeUnreadOf(Buffer);
            Buffer.Release();
            Buffer = next;
        }

        bufferWanted = 0;
        int missing = wholeBytes - Buffer.Available;
        receiveLimit = missing >= ExactReceiveBytes ? missing : Buffer.Capacity;
        return true;
    }

    /// <summary>An exclusive buffer goes back as soon as the next is there, so it does not count; nor may it ever block itself.</summary>
    private bool CanGetBuffer() => Buffer.IsExclusive || buffers.HasRoomFor(bufferWanted);
}
