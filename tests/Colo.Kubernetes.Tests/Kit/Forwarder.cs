using System.Net;
using System.Net.Sockets;

namespace Colo.Kubernetes.Tests.Kit;

/// <summary>
/// A TCP hop on the way to the API server that can be cut (connections closed, new ones refused) or go silent (connections stay, nothing
/// passes), as networks do. Bytes pass untouched, so TLS is end to end.
/// </summary>
internal sealed class Forwarder : IAsyncDisposable
{
    private readonly int target;
    private readonly int port;
    private readonly Lock guard = new();
    private readonly List<Socket> sockets = [];
    private readonly List<Task> tasks = [];
    private Socket? listener;
    private TaskCompletionSource flowing = Flowing();
    private int stranded;
    private int accepted;

    public Forwarder(Uri server)
    {
        target = server.Port;
        listener = Listen(0);
        port = ((IPEndPoint)listener.LocalEndPoint!).Port;
        Accept(listener);
    }

    public Uri Address => new($"https://127.0.0.1:{port}");

    /// <summary>Closes every connection and takes none.</summary>
    public void Cut()
    {
        lock (guard)
        {
            listener?.Dispose();
            listener = null;
            sockets.ForEach(s => s.Dispose());
            sockets.Clear();
        }
    }

    /// <summary>What is sent from now on arrives nowhere, and nobody is told.</summary>
    public void Silence()
    {
        lock (guard)
        {
            flowing = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        }
    }

    /// <summary>The connections that are there never carry anything again, as when a peer's machine died; new ones work.</summary>
    public void Strand()
    {
        lock (guard)
        {
            stranded = accepted;
        }
    }

    public void Heal()
    {
        lock (guard)
        {
            flowing.TrySetResult();
            if (listener is null)
            {
                listener = Listen(port);
                Accept(listener);
            }
        }
    }

    public async ValueTask DisposeAsync()
    {
        Cut();
        Task[] running;
        lock (guard)
        {
            flowing.TrySetResult();
            running = [.. tasks];
        }

        await Task.WhenAll(running);
    }

    private static TaskCompletionSource Flowing()
    {
        TaskCompletionSource source = new();
        source.SetResult();
        return source;
    }

    private static Socket Listen(int port)
    {
        Socket socket = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        socket.SetSocketOption(SocketOptionLevel.Socket, SocketOptionName.ReuseAddress, optionValue: true);
        socket.Bind(new IPEndPoint(IPAddress.Loopback, port));
        socket.Listen();
        return socket;
    }

    private void Accept(Socket from) => Own(AcceptAsync(from));

    private void Own(Task task)
    {
        lock (guard)
        {
            tasks.Add(task);
        }
    }

    private async Task AcceptAsync(Socket from)
    {
        try
        {
            while (true)
            {
                Socket near = await from.AcceptAsync();
                Socket far = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
                int number;
                lock (guard)
                {
                    sockets.Add(near);
                    sockets.Add(far);
                    number = ++accepted;
                }

                await far.ConnectAsync(IPAddress.Loopback, target);
                Own(PumpAsync(near, far, number));
                Own(PumpAsync(far, near, number));
            }
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            if (ReferenceEquals(listener, from))
            {
                // The server is down: this connection is over, the next one may find it.
                Accept(from);
            }
        }
    }

    private async Task PumpAsync(Socket from, Socket to, int number)
    {
        byte[] buffer = new byte[16 * 1024];
        try
        {
            while (await from.ReceiveAsync(buffer) is var read and > 0)
            {
                await flowing.Task;
                if (number > stranded)
                {
                    await to.SendAsync(buffer.AsMemory(0, read));
                }
            }
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // Cut, or ended by a side.
        }

        from.Dispose();
        to.Dispose();
    }
}
