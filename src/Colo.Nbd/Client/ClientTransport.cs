using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Cryptography.X509Certificates;
using Colo.Nbd.Wire;

namespace Colo.Nbd.Client;

/// <summary>
/// One socket (or a stream that was handed in), perhaps inside TLS. Sends never block unless asked to; receives look for a moment, then sleep.
/// </summary>
/// <remarks>
/// The socket is non-blocking and is waited for with poll(2), never with .NET's asynchronous calls: those put it under the
/// runtime's epoll thread, which would wake for every packet beside our own thread. One thread receives, one at a time sends.
/// Dispose only after both have ended; <see cref="Abort"/> is what makes them end.
/// </remarks>
internal sealed class ClientTransport(NbdClientOptions options) : IDisposable
{
    /// <summary>Plain bytes encrypted at a time: bounds the ciphertext that waits for a peer who does not read.</summary>
    private const int TlsPieceBytes = 128 << 10;

    /// <summary>A wait that an Abort on another thread always ends; the bound is for the day when it does not.</summary>
    private static readonly TimeSpan PollSlice = TimeSpan.FromSeconds(1);

    private static readonly TimeSpan ConnectSlice = TimeSpan.FromMilliseconds(20);

    private readonly object abortGate = new();
    private AdaptivePoll poll = new(options.BusyPoll);
    private Socket? socket;
    private Stream? dialled;
    private SslStream? tls;
    private TlsWire? wire;
    private volatile bool aborted;

    public bool IsTls => tls is not null;

    public void Connect(NbdEndpoint endpoint)
    {
        if (options.Dial is { } dial)
        {
            dialled = dial(endpoint);
            if (aborted)
            {
                dialled.Dispose();
                throw new IOException($"connecting to {endpoint} was given up");
            }

            return;
        }

        if (endpoint.UnixPath is not null)
        {
            ConnectTo(new UnixDomainSocketEndPoint(endpoint.UnixPath), AddressFamily.Unix, ProtocolType.Unspecified);
            return;
        }

        // Every address in turn, as getaddrinfo orders them; the last failure is the one that is told.
        IPAddress[] addresses = Dns.GetHostAddresses(endpoint.Host!);
        for (int i = 0; i < addresses.Length; i++)
        {
            try
            {
                ConnectTo(new IPEndPoint(addresses[i], endpoint.Port), addresses[i].AddressFamily, ProtocolType.Tcp);
                return;
            }
            catch (SocketException) when (i < addresses.Length - 1)
            {
                socket?.Dispose();
            }
        }
    }

    public void StartTls(NbdTlsClientOptions tlsOptions, string defaultServerName)
    {
        wire = new TlsWire(this);
        tls = new SslStream(wire, leaveInnerStreamOpen: false);
        SslClientAuthenticationOptions authentication = new()
        {
            TargetHost = tlsOptions.ServerName ?? defaultServerName,
            CertificateChainPolicy = new X509ChainPolicy
            {
                TrustMode = X509ChainTrustMode.CustomRootTrust,
                RevocationMode = X509RevocationMode.NoCheck,
                DisableCertificateDownloads = true,
            },
            ClientCertificateContext = tlsOptions.ClientCertificate is null
                ? null
                : SslStreamCertificateContext.Create(tlsOptions.ClientCertificate, tlsOptions.Intermediates, offline: true),
        };
        authentication.CertificateChainPolicy.CustomTrustStore.AddRange(tlsOptions.TrustedAuthorities);
        if (!tlsOptions.VerifyServerName)
        {
            authentication.RemoteCertificateValidationCallback =
                static (_, _, _, errors) => (errors & ~SslPolicyErrors.RemoteCertificateNameMismatch) == SslPolicyErrors.None;
        }

        tls.AuthenticateAsClient(authentication);
        wire.Gather();
    }

    /// <summary>At least one byte, or 0 where the connection has ended.</summary>
    /// <exception cref="IOException">it ended with an error.</exception>
    public int Receive(Span<byte> destination) => tls is null ? ReceiveRaw(destination) : tls.Read(destination);

    public void ReceiveExactly(Span<byte> destination)
    {
        while (!destination.IsEmpty)
        {
            int received = Receive(destination);
            if (received == 0)
            {
                throw new EndOfStreamException("the server closed the connection");
            }

            destination = destination[received..];
        }
    }

    /// <summary>Takes a prefix of <paramref name="source"/>; -1: none now, see <see cref="WaitUntilWritable"/>.</summary>
    /// <exception cref="IOException">the connection has ended.</exception>
    public int TrySend(ReadOnlySpan<byte> source)
    {
        if (tls is null)
        {
            return TrySendRaw(source);
        }

        if (!TryFlush())
        {
            return -1;
        }

        int length = Math.Min(source.Length, TlsPieceBytes);
        tls.Write(source[..length]);
        return length;
    }

    /// <summary>False: ciphertext is left over, see <see cref="WaitUntilWritable"/>.</summary>
    public bool TryFlush() => wire is null || wire.TrySendGathered();

    public void SendAll(ReadOnlySpan<byte> source)
    {
        while (!source.IsEmpty)
        {
            int sent = TrySend(source);
            if (sent < 0)
            {
                WaitUntilWritable();
                continue;
            }

            source = source[sent..];
        }

        while (!TryFlush())
        {
            WaitUntilWritable();
        }
    }

    public void WaitUntilWritable()
    {
        while (dialled is null && !socket!.Poll(PollSlice, SelectMode.SelectWrite) && !aborted)
        {
        }
    }

    /// <summary>No more will be sent; what was sent still reaches the peer.</summary>
    public void ShutdownSend() => Shutdown(SocketShutdown.Send);

    /// <summary>Ends every wait on this transport, now and later. From any thread.</summary>
    public void Abort()
    {
        lock (abortGate)
        {
            aborted = true;
            Monitor.PulseAll(abortGate);
        }

        Shutdown(SocketShutdown.Both);
        dialled?.Dispose();
    }

    public void Dispose()
    {
        Abort();
        tls?.Dispose();
        socket?.Dispose();
    }

    private void ConnectTo(EndPoint address, AddressFamily family, ProtocolType protocol)
    {
        bool connected = TryBegin(address, family, protocol);
        while (!connected && !aborted)
        {
            connected = family == AddressFamily.Unix ? TryAgain(address, protocol) : socket!.Poll(ConnectSlice, SelectMode.SelectWrite);
        }

        // Asked behind the connect: an Abort before it had nothing to shut down, and nobody would end the waits to come.
        if (aborted)
        {
            throw new IOException($"connecting to {address} was given up");
        }

        int error = (int)socket!.GetSocketOption(SocketOptionLevel.Socket, SocketOptionName.Error)!;
        if (error != 0)
        {
            throw new SocketException(error);
        }
    }

    /// <summary>False: on its way, or (unix) to be tried again.</summary>
    private bool TryBegin(EndPoint address, AddressFamily family, ProtocolType protocol)
    {
        try
        {
            Open(family, protocol).Connect(address);
            return true;
        }
        catch (SocketException e) when (e.SocketErrorCode is SocketError.WouldBlock or SocketError.InProgress)
        {
            return false;
        }
    }

    /// <summary>A unix socket whose listener's queue is full is not on its way, and nothing tells when there is room: after a short while,
    /// which an Abort ends, it is tried again.</summary>
    private bool TryAgain(EndPoint address, ProtocolType protocol)
    {
        lock (abortGate)
        {
            if (aborted || Monitor.Wait(abortGate, ConnectSlice))
            {
                return false;
            }
        }

        socket!.Dispose();
        return TryBegin(address, AddressFamily.Unix, protocol);
    }

    private Socket Open(AddressFamily family, ProtocolType protocol)
    {
        Socket fresh = new(family, SocketType.Stream, protocol) { Blocking = false };
        socket = fresh;
        if (protocol == ProtocolType.Tcp)
        {
            fresh.NoDelay = true;
            fresh.SetSocketOption(SocketOptionLevel.Socket, SocketOptionName.KeepAlive, optionValue: true);
        }
        else
        {
            // A whole burst in one send; TCP sizes its buffers itself.
            fresh.SendBufferSize = 1 << 20;
        }

        return fresh;
    }

    private void Shutdown(SocketShutdown how)
    {
        try
        {
            socket?.Shutdown(how);
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // Already ended, which is what was asked for.
        }
    }

    /// <summary>Past TLS, for <see cref="TlsWire"/>.</summary>
    public int ReceiveRaw(Span<byte> destination)
    {
        if (dialled is not null)
        {
            return dialled.Read(destination);
        }

        while (true)
        {
            int received = socket!.Receive(destination, SocketFlags.None, out SocketError error);
            if (error == SocketError.Success)
            {
                poll.Found();
                return received;
            }

            if (error is not (SocketError.WouldBlock or SocketError.Interrupted))
            {
                throw new IOException("receiving from the NBD server: " + error, new SocketException((int)error));
            }

            if (poll.TryGiveWay())
            {
                continue;
            }

            socket.Poll(Timeout.InfiniteTimeSpan, SelectMode.SelectRead);
        }
    }

    /// <summary>Past TLS, for <see cref="TlsWire"/>.</summary>
    public int TrySendRaw(ReadOnlySpan<byte> source)
    {
        if (dialled is not null)
        {
            dialled.Write(source);
            return source.Length;
        }

        while (true)
        {
            int sent = socket!.Send(source, SocketFlags.None, out SocketError error);
            if (error == SocketError.Success)
            {
                return sent;
            }

            if (error == SocketError.WouldBlock)
            {
                // A non-blocking send may take a part and still say that it would block.
                return sent > 0 ? sent : -1;
            }

            if (error != SocketError.Interrupted)
            {
                throw new IOException("sending to the NBD server: " + error, new SocketException((int)error));
            }
        }
    }
}
