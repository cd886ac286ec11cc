using System.Net.Sockets;
using Colo.Nbd.Transmission;
using Colo.Nbd.Wire;

namespace Colo.Nbd.Server;

/// <summary>
/// A connected socket as a synchronous stream that polls for a short while before it sleeps: waking a sleeping thread costs more
/// than serving a small request. One reader and one writer at a time. Owns the socket. <see cref="Abort"/> from any thread.
/// </summary>
/// <remarks>The socket is non-blocking and never used with async calls: those would route every operation through the runtime's
/// epoll thread, a thread hop each.</remarks>
internal sealed class PollingSocketStream : Stream, INonBlockingSend, IAbortable
{
    private const int Forever = -1;
    private const int UnixSendBufferBytes = 1 << 20;

    private readonly Socket socket;
    private readonly TimeSpan sendStall;
    private AdaptivePoll poll;

    /// <summary>tcp(7): how long sent data, and probes, may go without an acknowledgement. .NET has no name for it.</summary>
    private const int TcpUserTimeout = 18;

    public PollingSocketStream(Socket socket, TimeSpan busyPoll, TimeSpan sendStall, TimeSpan? peerSilence = null)
    {
        (this.socket, this.sendStall) = (socket, sendStall);
        poll = new(busyPoll);
        socket.Blocking = false;
        if (socket.ProtocolType == ProtocolType.Tcp)
        {
            socket.NoDelay = true;
            socket.SetSocketOption(SocketOptionLevel.Socket, SocketOptionName.KeepAlive, true);
            if (peerSilence is { } silence)
            {
                LimitSilence(socket, silence);
            }
        }
        else
        {
            // As much of a large read in one send as the system allows; TCP sizes its buffers itself.
            socket.SendBufferSize = UnixSendBufferBytes;
        }
    }

    /// <summary>
    /// A probe each second, also while the peer only waits. The kernel looks whenever a probe is due, so a limit of half a second less makes
    /// sure that it finds the silence at its end and not a second later.
    /// </summary>
    private static void LimitSilence(Socket socket, TimeSpan silence)
    {
        socket.SetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveTime, 1);
        socket.SetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveInterval, 1);
        int milliseconds = (int)(silence - TimeSpan.FromMilliseconds(500)).TotalMilliseconds;
        socket.SetRawSocketOption((int)SocketOptionLevel.Tcp, TcpUserTimeout, BitConverter.GetBytes(milliseconds));
    }

    public override bool CanRead => true;

    public override bool CanWrite => true;

    public override bool CanSeek => false;

    public override long Length => throw new NotSupportedException();

    public override long Position
    {
        get => throw new NotSupportedException();
        set => throw new NotSupportedException();
    }

    public override int Read(Span<byte> buffer)
    {
        int received;
        while (!TryReceive(buffer, out received))
        {
            if (!poll.TryGiveWay())
            {
                socket.Poll(Forever, SelectMode.SelectRead);
            }
        }

        poll.Found();
        return received;
    }

    public override void Write(ReadOnlySpan<byte> buffer)
    {
        while (!buffer.IsEmpty)
        {
            int sent = TrySend(buffer);
            if (sent == 0 && !socket.Poll(sendStall, SelectMode.SelectWrite))
            {
                throw new IOException($"send: the peer took nothing for {sendStall.TotalSeconds:0.#} s");
            }

            buffer = buffer[sent..];
        }
    }

    /// <inheritdoc/>
    public int TrySend(ReadOnlySpan<byte> buffer)
    {
        int sent = socket.Send(buffer, SocketFlags.None, out SocketError error);
        return error switch
        {
            SocketError.Success => sent,
            SocketError.WouldBlock => 0,
            _ => throw new IOException($"send: {error}", new SocketException((int)error)),
        };
    }

    public override int Read(byte[] buffer, int offset, int count) => Read(buffer.AsSpan(offset, count));

    public override void Write(byte[] buffer, int offset, int count) => Write(buffer.AsSpan(offset, count));

    public override void Flush()
    {
        // Nothing is kept back.
    }

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    public override void SetLength(long value) => throw new NotSupportedException();

    public void Abort() => Shutdown(SocketShutdown.Both);

    public void EndReceiving() => Shutdown(SocketShutdown.Receive);

    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            socket.Dispose();
        }

        base.Dispose(disposing);
    }

    private void Shutdown(SocketShutdown how)
    {
        try
        {
            socket.Shutdown(how);
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // Already gone: that is what was wanted.
        }
    }

    private bool TryReceive(Span<byte> buffer, out int received)
    {
        received = socket.Receive(buffer, SocketFlags.None, out SocketError error);
        return error switch
        {
            SocketError.Success => true,
            SocketError.WouldBlock => false,
            _ => throw new IOException($"receive: {error}", new SocketException((int)error)),
        };
    }
}
