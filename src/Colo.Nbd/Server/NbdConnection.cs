using System.Net.Security;
using Colo.Nbd.Handshake;
using Colo.Nbd.Transmission;
using Microsoft.Extensions.Logging;

namespace Colo.Nbd.Server;

/// <summary>
/// One client from accept to close, on a thread of its own: handshake, then the transmission loop. A fault of this client, or of
/// ours while serving it, ends this connection and nothing else.
/// </summary>
internal sealed class NbdConnection
{
    /// <summary>For the last replies of a connection that has ended; a client that does not read them by then never will.</summary>
    private static readonly TimeSpan LingerLimit = TimeSpan.FromSeconds(10);

    private static long lastId;

    private readonly NbdServerOptions options;
    private readonly INbdExportProvider exports;
    private readonly ILogger logger;
    private readonly TimeProvider time;
    private readonly Stream transport;
    private readonly Action<NbdConnection> ended;
    private readonly TaskCompletionSource finished = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly CancellationTokenSource aborting = new(); // never disposed: Abort may come at any time, and it holds no timer
    private TransmissionSession? session;
    private volatile bool handshakeTimedOut;
    private volatile bool draining;

    public NbdConnection(
        NbdServerOptions options,
        INbdExportProvider exports,
        ILogger logger,
        TimeProvider time,
        Stream transport,
        NbdPeer peer,
        Action<NbdConnection> ended)
    {
        this.options = options;
        this.exports = exports;
        this.logger = logger;
        this.time = time;
        this.transport = transport;
        this.ended = ended;
        Peer = peer;
        Id = Interlocked.Increment(ref lastId);
    }

    public long Id { get; }

    public NbdPeer Peer { get; private set; }

    /// <summary>Set when it enters an export.</summary>
    public NbdConnectionInfo? Info { get; private set; }

    /// <summary>On whose list it is: from just before GO is answered until the end.</summary>
    public NbdExport? Export { get; private set; }

    /// <summary>Ends when the thread has ended: no request of this connection is with the device any more. Never faults.</summary>
    public Task Finished => finished.Task;

    public void Start() => options.Threads.Start($"nbd-{Id}", Run);

    /// <summary>Ends the connection now; what the device still works on is waited for by the thread, not by the caller.</summary>
    public void Abort()
    {
        aborting.Cancel();
        session?.Close();
        if (transport is IAbortable abortable)
        {
            abortable.Abort();
        }
        else
        {
            transport.Dispose();
        }
    }

    /// <summary>No further request is begun; those that were are answered, then the connection closes.</summary>
    public void BeginDrain()
    {
        draining = true;
        if (session is not { } current)
        {
            Abort();
            return;
        }

        current.Close();
        if (transport is IAbortable abortable)
        {
            abortable.EndReceiving();
        }
        else
        {
            transport.Dispose();
        }
    }

    private void Run()
    {
        try
        {
            if (Negotiate() is { } negotiated)
            {
                Transmit(negotiated);
            }
        }
        catch (Exception e)
        {
            NbdServerLog.ConnectionFault(logger, Id, Peer, e);
        }
        finally
        {
            transport.Dispose();
            Export?.Remove(this);
            ended(this);
            finished.SetResult();
        }
    }

    private NegotiatedSession? Negotiate()
    {
        using ITimer limit = time.CreateTimer(_ => TimeOutHandshake(), null, options.HandshakeTimeout, Timeout.InfiniteTimeSpan);
        try
        {
            ServerHandshake handshake = new(transport, Peer, options.Tls, exports, new(logger, Id), TryEnter, aborting.Token);
            NegotiatedSession? negotiated = handshake.Run();
            Peer = handshake.Peer;
            return negotiated;
        }
        catch (Exception) when (handshakeTimedOut)
        {
            NbdServerLog.HandshakeTimedOut(logger, Id, Peer, options.HandshakeTimeout);
        }
        catch (Exception e) when (e is HandshakeException or IOException or ObjectDisposedException or OperationCanceledException)
        {
            NbdServerLog.HandshakeFailed(logger, Id, Peer, e.Message);
        }

        return null;
    }

    /// <summary>From here on <see cref="NbdExport.DisconnectAllAsync"/> ends this connection and waits for it.</summary>
    private bool TryEnter(NbdExport export, NbdPeer peer)
    {
        if (draining || aborting.IsCancellationRequested)
        {
            return false;
        }

        Peer = peer;
        Info = new NbdConnectionInfo(Id, peer, time.GetUtcNow());
        Export = export;
        if (export.TryAdd(this))
        {
            return true;
        }

        Export = null;
        return false;
    }

    private void TimeOutHandshake()
    {
        handshakeTimedOut = true;
        Abort();
    }

    private void Transmit(NegotiatedSession negotiated)
    {
        NbdExport export = negotiated.Export;
        NbdSessionCounters counters = export.Metrics.Attach();
        using ReplyQueue replies = new(negotiated.Stream, negotiated.Format, Abort);
        TransmissionSession current = new(negotiated, replies, counters, logger, options);

        // A fence, then the look below: either an Abort or BeginDrain sees the session and closes it, or its sign is seen here. Else
        // what the client sent early, and the socket still holds, would be served after the cut.
        Interlocked.Exchange(ref session, current);
        string reason = "the export was closed";
        try
        {
            if (!draining && !aborting.IsCancellationRequested)
            {
                NbdServerLog.TransmissionStarted(logger, Id, Peer, export.Name, negotiated.Format.ToString());
                reason = Loop(negotiated.Stream, current);
            }
        }
        finally
        {
            current.Close();
            current.WaitUntilIdle();
            using ITimer linger = time.CreateTimer(_ => Abort(), null, LingerLimit, Timeout.InfiniteTimeSpan);
            replies.FinishSending();
            export.Metrics.Detach(counters);
            NbdServerLog.TransmissionEnded(logger, Id, Peer, export.Name, current.Fault ?? reason);
            if (negotiated.Stream is SslStream tls)
            {
                tls.Dispose();
            }
        }
    }

    private static string Loop(Stream stream, TransmissionSession session)
    {
        try
        {
            while (true)
            {
                switch (session.Pump())
                {
                    case PumpResult.NeedBytes:
                        int received = stream.Read(session.ReceiveSpace.Span);
                        if (received == 0)
                        {
                            return "the client closed it";
                        }

                        session.Received(received);
                        break;
                    case PumpResult.Blocked:
                        session.WaitUntilUnblocked();
                        break;
                    default:
                        return "the client disconnected, or we closed it";
                }
            }
        }
        catch (Exception e) when (e is IOException or ObjectDisposedException)
        {
            return e.Message;
        }
    }
}
