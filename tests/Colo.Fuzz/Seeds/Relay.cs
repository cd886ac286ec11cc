using System.Net.Sockets;

namespace Colo.Fuzz.Seeds;

/// <summary>Stands between a client and a server on unix sockets and keeps what each of them said, connection by connection.</summary>
internal sealed class Relay : IAsyncDisposable
{
    private readonly Socket listener = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
    private readonly List<Recording> recordings = [];
    private readonly string serverPath;
    private readonly Task accepting;

    public Relay(string path, string serverPath)
    {
        this.serverPath = serverPath;
        listener.Bind(new UnixDomainSocketEndPoint(path));
        listener.Listen();
        accepting = AcceptAsync();
    }

    public IReadOnlyList<Recording> Recordings
    {
        get
        {
            lock (recordings)
            {
                return [.. recordings];
            }
        }
    }

    public async ValueTask DisposeAsync()
    {
        listener.Dispose();
        await accepting;
    }

    private async Task AcceptAsync()
    {
        List<Task> connections = [];
        try
        {
            while (true)
            {
                Socket client = await listener.AcceptAsync();
                Recording recording = new();
                lock (recordings)
                {
                    recordings.Add(recording);
                }

                connections.Add(PassAsync(client, recording));
            }
        }
        catch (SocketException)
        {
            await Task.WhenAll(connections);
        }
    }

    private async Task PassAsync(Socket client, Recording recording)
    {
        using Socket server = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        using (client)
        {
            await server.ConnectAsync(new UnixDomainSocketEndPoint(serverPath));
            await Task.WhenAll(PassAsync(client, server, recording.AddClient), PassAsync(server, client, recording.AddServer));
        }
    }

    private static async Task PassAsync(Socket from, Socket to, Action<ReadOnlyMemory<byte>> keep)
    {
        byte[] buffer = new byte[64 << 10];
        try
        {
            int received;
            while ((received = await from.ReceiveAsync(buffer)) > 0)
            {
                keep(buffer.AsMemory(0, received));
                for (int sent = 0; sent < received;)
                {
                    sent += await to.SendAsync(buffer.AsMemory(sent, received - sent));
                }
            }

            to.Shutdown(SocketShutdown.Send);
        }
        catch (SocketException)
        {
            // One of the two hung up in its own way.
        }
    }
}

/// <summary>Both halves of one connection.</summary>
internal sealed class Recording
{
    private readonly MemoryStream client = new();
    private readonly MemoryStream server = new();

    public byte[] Client => Bytes(client);

    public byte[] Server => Bytes(server);

    public void AddClient(ReadOnlyMemory<byte> bytes) => Add(client, bytes);

    public void AddServer(ReadOnlyMemory<byte> bytes) => Add(server, bytes);

    private static void Add(MemoryStream to, ReadOnlyMemory<byte> bytes)
    {
        lock (to)
        {
            to.Write(bytes.Span);
        }
    }

    private static byte[] Bytes(MemoryStream from)
    {
        lock (from)
        {
            return from.ToArray();
        }
    }
}
