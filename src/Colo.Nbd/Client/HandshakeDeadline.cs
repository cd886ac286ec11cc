using System.Net.Sockets;
using System.Security.Authentication;

namespace Colo.Nbd.Client;

/// <summary>
/// Bounds a synchronous handshake in time and lets its caller cancel it: both abort the transport. Turns what the socket and TLS
/// throw into one kind of exception.
/// </summary>
internal sealed class HandshakeDeadline : IDisposable
{
    private readonly NbdClientOptions options;
    private readonly CancellationToken cancellationToken;
    private readonly CancellationTokenRegistration registration;
    private readonly ITimer timer;
    private volatile bool expired;

    public HandshakeDeadline(ClientTransport transport, NbdClientOptions options, CancellationToken cancellationToken)
    {
        (this.options, this.cancellationToken) = (options, cancellationToken);
        registration = cancellationToken.UnsafeRegister(static state => ((ClientTransport)state!).Abort(), transport);
        timer = options.TimeProvider.CreateTimer(
            _ =>
            {
                expired = true;
                transport.Abort();
            },
            state: null,
            options.HandshakeTimeout,
            Timeout.InfiniteTimeSpan);
    }

    public T Run<T>(Func<T> handshake)
    {
        try
        {
            T result = handshake();
            return expired ? throw Expired(inner: null) : result;
        }
        catch (Exception e) when (cancellationToken.IsCancellationRequested && e is not OperationCanceledException)
        {
            throw new OperationCanceledException("connecting to the NBD server was cancelled", e, cancellationToken);
        }
        catch (Exception e) when (expired && e is not NbdClientException { Kind: NbdClientErrorKind.Timeout })
        {
            throw Expired(e);
        }
        catch (AuthenticationException e)
        {
            throw new NbdClientException(NbdClientErrorKind.Tls, $"{options.Endpoint}: TLS failed: {e.Message}", e);
        }
        catch (Exception e) when (e is IOException or SocketException or ObjectDisposedException)
        {
            throw new NbdClientException(NbdClientErrorKind.Unreachable, $"{options.Endpoint}: {e.Message}", e);
        }
    }

    public void Dispose()
    {
        timer.Dispose();
        registration.Dispose();
    }

    private NbdClientException Expired(Exception? inner) => new(
        NbdClientErrorKind.Timeout, $"{options.Endpoint}: no agreement within {options.HandshakeTimeout}", inner);
}
