using System.Collections.Concurrent;
using System.Net;
using System.Net.Sockets;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace Colo.Nbd.Server;

/// <summary>
/// A fixed newstyle NBD server. Owns its listening sockets and connections, not the exports and their devices: stop the server (or
/// close the export) before disposing a device. One dedicated thread a connection; see Transmission/ for what it does.
/// </summary>
public sealed class NbdServer : IAsyncDisposable
{
    private static readonly TimeSpan AcceptRetryDelay = TimeSpan.FromMilliseconds(100);
    private static readonly TimeSpan StopCheckInterval = TimeSpan.FromMilliseconds(100);

    private readonly NbdServerOptions options;
    private readonly INbdExportProvider exports;
    private readonly ILogger logger;
    private readonly TimeProvider time;
    private readonly ConcurrentDictionary<long, NbdConnection> connections = new();
    private readonly HandshakeCounts handshakes = new();
    private readonly RefusalLog refused;
    private readonly List<Socket> listeners = [];
    private readonly List<Thread> acceptThreads = [];
    private readonly CancellationTokenSource stopping = new();
    private bool started;

    /// <exception cref="ArgumentException">an option is out of its range; the message names it.</exception>
    public NbdServer(
        NbdServerOptions options, INbdExportProvider exports, ILogger<NbdServer>? logger = null, TimeProvider? time = null)
    {
        options.Validate();
        this.options = options;
        this.exports = exports;
        this.logger = logger ?? NullLogger<NbdServer>.Instance;
        this.time = time ?? TimeProvider.System;
        refused = new(this.logger, options, this.time);
    }

    /// <summary>Where it listens, in the order of the options (an activated listener may be several).</summary>
    public IReadOnlyList<EndPoint> Endpoints => listeners.Select(socket => socket.LocalEndPoint!).ToList();

    /// <summary>Connections at this moment, those still in the handshake included.</summary>
    public int ConnectionCount => connections.Count;

    /// <summary>Binds every listener, then accepts. Where one cannot be bound none is.</summary>
    /// <exception cref="IOException">an address is taken or not permitted.</exception>
    public Task StartAsync(CancellationToken cancellationToken = default)
    {
        cancellationToken.ThrowIfCancellationRequested();
        if (started)
        {
            throw new InvalidOperationException("the server was started before");
        }

        started = true;
        try
        {
            foreach (NbdListener listener in options.Listeners)
            {
                listeners.AddRange(ListenerSockets.Open(listener));
            }
        }
        catch
        {
            CloseListeners();
            throw;
        }

        foreach (Socket socket in listeners)
        {
            NbdServerLog.Listening(logger, socket.LocalEndPoint);
            Thread accepting = new(() => AcceptConnections(socket)) { IsBackground = true, Name = "nbd-accept" };
            acceptThreads.Add(accepting);
            accepting.Start();
        }

        return Task.CompletedTask;
    }

    /// <summary>
    /// Serves a connection that came by another way (a test's pipe, a passed socket's stream); ends when it has ended. The stream is
    /// disposed at the end. Where the server is full or stopped it is closed at once.
    /// </summary>
    public Task Serve(Stream stream, NbdPeer peer) => Begin(stream, peer, null);

    /// <summary>
    /// Stops accepting, lets every request that was received be answered, flushes, closes. Clients see the connection end, not an
    /// error, so that those who can reconnect do. What is not drained in time is cut.
    /// </summary>
    public async Task StopAsync(TimeSpan drainTimeout, CancellationToken cancellationToken = default)
    {
        await stopping.CancelAsync();
        foreach (Thread accepting in acceptThreads)
        {
            accepting.Join();
        }

        CloseListeners();

        List<NbdConnection> stopped = [.. connections.Values];
        foreach (NbdConnection connection in stopped)
        {
            connection.BeginDrain();
        }

        try
        {
            await Task.WhenAll(stopped.Select(connection => connection.Finished)).WaitAsync(drainTimeout, time, cancellationToken);
        }
        catch (Exception e) when (e is TimeoutException or OperationCanceledException)
        {
            NbdServerLog.DrainTimedOut(logger, connections.Count, drainTimeout);
            foreach (NbdConnection connection in connections.Values)
            {
                connection.Abort();
            }
        }

        // Asked only now: a connection may have entered its export while it was being told to drain.
        foreach (NbdExport export in stopped.Select(connection => connection.Export).OfType<NbdExport>().Distinct())
        {
            if (!export.IsReadOnly && !export.Device.Capabilities.IsReadOnly)
            {
                await export.Device.FlushAsync();
            }
        }
    }

    /// <summary>Stops without patience for what is in flight.</summary>
    public async ValueTask DisposeAsync()
    {
        if (!stopping.IsCancellationRequested)
        {
            await StopAsync(TimeSpan.FromSeconds(1));
        }

        stopping.Dispose();
    }

    /// <summary>
    /// On a thread of its own, so that a busy thread pool cannot keep clients waiting. It looks up now and then to see whether to
    /// stop: the usual way to wake it, a shutdown, would also break a passed socket for whoever passed it.
    /// </summary>
    private void AcceptConnections(Socket listener)
    {
        listener.Blocking = false;
        while (!stopping.IsCancellationRequested)
        {
            try
            {
                if (listener.Poll(StopCheckInterval, SelectMode.SelectRead))
                {
                    Admit(listener.Accept());
                }
            }
            catch (SocketException e) when (e.SocketErrorCode == SocketError.WouldBlock)
            {
                // That client has left again.
            }
            catch (SocketException e)
            {
                NbdServerLog.AcceptFailed(logger, e);
                stopping.Token.WaitHandle.WaitOne(AcceptRetryDelay); // out of descriptors: some will be closed
            }
        }
    }

    private void Admit(Socket accepted)
    {
        try
        {
            IPEndPoint? from = accepted.RemoteEndPoint as IPEndPoint;
            NbdPeer peer = new(from?.ToString() ?? "unix");
            if (from is not null && handshakes.CountOf(from.Address) >= options.MaxHandshakesPerAddress)
            {
                accepted.Dispose();
                refused.Note(NbdRefusal.AddressFull, peer);
                return;
            }

            _ = Begin(new PollingSocketStream(accepted, options.BusyPoll, options.SendStall, options.PeerSilence), peer, from?.Address); // owned by the table until it has ended
        }
        catch (SocketException e)
        {
            accepted.Dispose();
            NbdServerLog.AcceptFailed(logger, e);
        }
    }

    private Task Begin(Stream stream, NbdPeer peer, IPAddress? address)
    {
        if (stopping.IsCancellationRequested || connections.Count >= options.MaxConnections)
        {
            stream.Dispose();
            refused.Note(NbdRefusal.ServerFull, peer);
            return Task.CompletedTask;
        }

        NbdConnection connection = new(options, exports, logger, time, stream, peer, handshakes.Enter(address), Ended);
        connections[connection.Id] = connection;
        if (stopping.IsCancellationRequested)
        {
            connection.Abort(); // before it starts: StopAsync may have looked at the table already, and then waits for nothing here
        }

        connection.Start();
        return connection.Finished;
    }

    private void Ended(NbdConnection connection) => connections.TryRemove(connection.Id, out _);

    private void CloseListeners()
    {
        foreach (Socket socket in listeners)
        {
            socket.Dispose();
        }
    }
}
