using System.Net.Sockets;
using Colo.Blocks;

namespace Colo.Nbd.Client;

/// <summary>
/// The life of one client, on one thread of its own: connect, receive until the connection is lost, perhaps connect again, and in
/// the end answer whatever is left. The only place that changes the state.
/// </summary>
internal sealed class ConnectionLoop : IAsyncDisposable
{
    /// <summary>After DISC a good server answers what it has and closes; a hung one is not waited for.</summary>
    private static readonly TimeSpan CloseGrace = TimeSpan.FromMilliseconds(500);

    private readonly NbdClientOptions options;
    private readonly RequestPipeline pipeline;
    private readonly byte[] receiveBuffer;
    private readonly CancellationTokenSource lifetime = new();
    private readonly TaskCompletionSource<NbdExportInfo> opened = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource finished = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Lock stateGate = new();
    private ITimer? hangTimer;
    private ClientTransport? transport;
    private volatile bool hangs;
    private int disposed;
    private long reconnects;

    public ConnectionLoop(NbdClientOptions options, RequestPipeline pipeline)
    {
        (this.options, this.pipeline) = (options, pipeline);
        receiveBuffer = GC.AllocateUninitializedArray<byte>(options.ReceiveBufferBytes);
    }

    public event EventHandler<NbdClientStateChange>? StateChanged;

    public NbdClientState State { get; private set; } = NbdClientState.Connecting;

    public NbdClientException? LastError { get; private set; }

    public long Reconnects => Interlocked.Read(ref reconnects);

    public async Task<NbdExportInfo> StartAsync(CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        options.Threads.Start("nbd-client " + options.Endpoint, () => Run(cancellationToken));
        try
        {
            return await opened.Task;
        }
        catch
        {
            await finished.Task;
            lifetime.Dispose();
            throw;
        }
    }

    public async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref disposed, 1) != 0)
        {
            await finished.Task;
            return;
        }

        pipeline.BeginClose();
        await lifetime.CancelAsync();
        try
        {
            await finished.Task.WaitAsync(CloseGrace, options.TimeProvider);
        }
        catch (TimeoutException)
        {
            Volatile.Read(ref transport)?.Abort();
            await finished.Task;
        }

        if (State != NbdClientState.Closed)
        {
            Enter(NbdClientEvent.Disposed, reason: null);
        }

        lifetime.Dispose();
    }

    private bool IsDisposed => Volatile.Read(ref disposed) != 0;

    private void Run(CancellationToken openCancellation)
    {
        try
        {
            NbdExportInfo export = Open(openCancellation);
            Enter(NbdClientEvent.HandshakeDone, reason: null);
            NbdClientLog.Connected(options.Logger, options.Endpoint, export.SizeBytes, export.Flags);
            StartHangTimer();
            opened.SetResult(export);
            Live(export);
        }
        catch (Exception e) when (!opened.Task.IsCompleted)
        {
            transport?.Dispose();
            Enter(NbdClientEvent.GivenUp, e as NbdClientException);
            pipeline.Close(BlockStatus.IoError);
            opened.SetException(e);
        }
        catch (Exception e)
        {
            // A fault of our own: no request may be left without an answer, and none may follow.
            transport?.Abort();
            pipeline.Detach();
            transport?.Dispose();
            LastError = new NbdClientException(NbdClientErrorKind.InternalFault, $"{options.Endpoint}: {e.Message}", e);
            GiveUp(LastError);
        }
        finally
        {
            hangTimer?.Dispose();
            finished.SetResult();
        }
    }

    /// <summary>From the first handshake to the end.</summary>
    private void Live(NbdExportInfo export)
    {
        int attempts = 0;
        long lostAt = 0;
        while (true)
        {
            NbdClientException lost = ReceiveUntilLost(export, out bool hasAnswered);
            if (hasAnswered || lostAt == 0)
            {
                attempts = 0;
                lostAt = options.TimeProvider.GetTimestamp();
            }

            LastError = lost;
            int inFlight = pipeline.Snapshot(0).InFlight;
            pipeline.Detach();
            transport!.Dispose();
            if (IsDisposed)
            {
                pipeline.Close(BlockStatus.Shutdown);
                Enter(NbdClientEvent.Disposed, lost);
                return;
            }

            NbdClientLog.ConnectionLost(options.Logger, options.Endpoint, inFlight, lost.Kind, lost);
            if (lost.IsFinal || options.Reconnect.MaxAttempts == 0)
            {
                GiveUp(lost);
                return;
            }

            Enter(NbdClientEvent.ConnectionLost, lost);
            if (!TryReconnect(export, lostAt, ref attempts, out NbdExportInfo? again))
            {
                return;
            }

            export = again!;
            Interlocked.Increment(ref reconnects);
            Enter(NbdClientEvent.HandshakeDone, reason: null);
            NbdClientLog.Connected(options.Logger, options.Endpoint, export.SizeBytes, export.Flags);
        }
    }

    private NbdExportInfo Open(CancellationToken cancellationToken)
    {
        ClientTransport fresh = new(options);
        Volatile.Write(ref transport, fresh);
        using HandshakeDeadline deadline = new(fresh, options, cancellationToken);
        return deadline.Run(() => ClientHandshake.Begin(fresh, options).Go());
    }

    private NbdClientException ReceiveUntilLost(NbdExportInfo export, out bool hasAnswered)
    {
        ReplyReceiver receiver = new(pipeline, export, options, receiveBuffer);
        hangs = false;
        pipeline.Attach(transport!, export.ExtendedHeaders);
        try
        {
            receiver.Run(transport!);
            return Lost("the server closed the connection", inner: null);
        }
        catch (NbdClientException e)
        {
            return e;
        }
        catch (Exception e) when (e is IOException or SocketException or ObjectDisposedException or InvalidOperationException)
        {
            return Lost(e.Message, e);
        }
        finally
        {
            hasAnswered = receiver.HasAnswered;
            transport!.Abort();
        }
    }

    private NbdClientException Lost(string message, Exception? inner) =>
        IsDisposed ? new(NbdClientErrorKind.Closed, $"{options.Endpoint}: closed by its owner", inner)
        : hangs ? new(NbdClientErrorKind.Timeout, $"{options.Endpoint}: no reply within {options.RequestTimeout}", inner)
        : new(NbdClientErrorKind.Unreachable, $"{options.Endpoint}: {message}", inner);

    private bool TryReconnect(NbdExportInfo before, long lostAt, ref int attempts, out NbdExportInfo? again)
    {
        ReconnectPolicy policy = options.Reconnect;
        again = null;
        while (true)
        {
            if (attempts >= policy.MaxAttempts || options.TimeProvider.GetElapsedTime(lostAt) >= policy.Deadline)
            {
                GiveUp(LastError!);
                return false;
            }

            try
            {
                WaitBefore(attempts++);
                again = Open(lifetime.Token);
                if (before.DifferenceTo(again) is { } difference)
                {
                    throw new NbdClientException(
                        NbdClientErrorKind.ExportChanged, $"{options.Endpoint}: after the reconnect {difference}");
                }

                return true;
            }
            catch (NbdClientException e)
            {
                transport!.Dispose();
                LastError = e;
                NbdClientLog.AttemptFailed(options.Logger, attempts, options.Endpoint, e.Message);

                // A server that is only starting may refuse or garble; another disk stays another disk.
                if (e.Kind == NbdClientErrorKind.ExportChanged)
                {
                    GiveUp(e);
                    return false;
                }
            }
            catch (OperationCanceledException)
            {
                transport!.Dispose();
                pipeline.Close(BlockStatus.Shutdown);
                Enter(NbdClientEvent.Disposed, LastError);
                return false;
            }
        }
    }

    /// <summary>The first attempt comes at once, then after a growing, partly random while.</summary>
    private void WaitBefore(int attempt)
    {
        lifetime.Token.ThrowIfCancellationRequested();
        if (attempt > 0)
        {
            TimeSpan delay = options.Reconnect.DelayBefore(attempt - 1, Random.Shared.NextDouble());
            Task.Delay(delay, options.TimeProvider, lifetime.Token).GetAwaiter().GetResult();
        }
    }

    private void GiveUp(NbdClientException reason)
    {
        Enter(NbdClientEvent.GivenUp, reason);
        NbdClientLog.GivenUp(options.Logger, options.Endpoint, reason);
        pipeline.Close(BlockStatus.IoError);
    }

    private void StartHangTimer()
    {
        if (options.RequestTimeout is not { } limit)
        {
            return;
        }

        TimeSpan interval = TimeSpan.FromMilliseconds(Math.Max(10, limit.TotalMilliseconds / 4));
        hangTimer = options.TimeProvider.CreateTimer(_ => CheckForHang(limit), state: null, interval, interval);
    }

    private void CheckForHang(TimeSpan limit)
    {
        TimeSpan age = pipeline.OldestInFlightAge();
        if (age >= limit && State == NbdClientState.Connected && !hangs)
        {
            NbdClientLog.Hangs(options.Logger, options.Endpoint, age);
            hangs = true;
            Volatile.Read(ref transport)?.Abort();
        }
    }

    private void Enter(NbdClientEvent happened, NbdClientException? reason)
    {
        NbdClientState from;
        NbdClientState to;
        lock (stateGate)
        {
            from = State;
            State = to = NbdClientTransitions.Next(from, happened);
        }

        try
        {
            StateChanged?.Invoke(this, new NbdClientStateChange(from, to, reason));
        }
        catch (Exception e)
        {
            // A handler's fault must not end the thread that answers the requests.
            NbdClientLog.HandlerThrew(options.Logger, options.Endpoint, e);
        }
    }
}
