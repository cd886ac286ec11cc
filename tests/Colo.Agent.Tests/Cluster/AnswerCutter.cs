using System.Net;
using System.Net.Sockets;

namespace Colo.Agent.Tests.Cluster;

/// <summary>
/// A TCP relay that loses one answer: the request reaches the server, which does what it asks, and the connection ends before the
/// answer is through. Requests are told apart by their direction alone (TLS lies over them).
/// </summary>
internal sealed class AnswerCutter : IAsyncDisposable
{
    private readonly TcpListener listener = new(IPAddress.Loopback, 0);
    private readonly int serverPort;
    private readonly CancellationTokenSource closing = new();
    private readonly Task accepting;
    private readonly Lock guard = new();
    private int requestsLeft = -1;
    private bool lastWasRequest;

    public AnswerCutter(Uri server)
    {
        serverPort = server.Port;
        listener.Start();
        Address = new($"https://127.0.0.1:{((IPEndPoint)listener.LocalEndpoint).Port}");
        accepting = AcceptAsync();
    }

    public Uri Address { get; }

    public bool HasCut { get; private set; }

    /// <summary>Cuts the answer to the request after the next <paramref name="others"/>.</summary>
    public void CutAfter(int others)
    {
        lock (guard)
        {
            (requestsLeft, lastWasRequest) = (others + 1, false);
        }
    }

    public async ValueTask DisposeAsync()
    {
        await closing.CancelAsync();
        listener.Dispose();
        await accepting;
        closing.Dispose();
    }

    private async Task AcceptAsync()
    {
        List<Task> relays = [];
        try
        {
            while (true)
            {
                Socket client = await listener.AcceptSocketAsync(closing.Token);
                relays.Add(RelayAsync(client));
            }
        }
        catch (Exception e) when (e is OperationCanceledException or SocketException or ObjectDisposedException)
        {
            await Task.WhenAll(relays);
        }
    }

    private async Task RelayAsync(Socket client)
    {
        using (client)
        using (Socket server = new(SocketType.Stream, ProtocolType.Tcp))
        {
            await server.ConnectAsync(IPAddress.Loopback, serverPort);
            await Task.WhenAny(PumpAsync(client, server, isRequest: true), PumpAsync(server, client, isRequest: false));
        }
    }

    private async Task PumpAsync(Socket from, Socket to, bool isRequest)
    {
        byte[] buffer = new byte[64 << 10];
        try
        {
            while (await from.ReceiveAsync(buffer, closing.Token) is int count and > 0 && Passes(isRequest))
            {
                await to.SendAsync(buffer.AsMemory(0, count), closing.Token);
            }
        }
        catch (Exception e) when (e is OperationCanceledException or SocketException or ObjectDisposedException)
        {
            // Either end is gone: so is the relay.
        }
    }

    private bool Passes(bool isRequest)
    {
        lock (guard)
        {
            if (isRequest && !lastWasRequest && requestsLeft > 0)
            {
                requestsLeft--;
            }

            lastWasRequest = isRequest;
            if (isRequest || requestsLeft != 0)
            {
                return true;
            }

            requestsLeft = -1;
            HasCut = true;
            return false;
        }
    }
}
