using System.Net.Sockets;
using Colo.Nbd.Client;
using Colo.Testing;

namespace Colo.Fuzz.Targets;

/// <summary>
/// The NBD client: everything a server can say, from its greeting (handshake) or behind a good handshake (replies), over a real unix
/// socket. The client ends with a typed error or with answers; every request gets its answer.
/// </summary>
internal sealed class ClientTarget : IFuzzTarget
{
    public const string HandshakeName = "client-handshake";
    public const string RepliesName = "client-replies";

    private readonly byte[][] prefixes;
    private readonly TempDirectory directory = new(onTmpfs: true);
    private readonly Socket listener = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
    private readonly NbdEndpoint endpoint;
    private readonly Task accepting;
    private readonly byte[] unwanted = new byte[64 << 10];
    private volatile byte[] answer = [];
    private long connected;
    private long answered;

    public ClientTarget(string name, byte[][] prefixes)
    {
        Name = name;
        this.prefixes = prefixes;
        string path = directory.File("s");
        listener.Bind(new UnixDomainSocketEndPoint(path));
        listener.Listen();
        endpoint = NbdEndpoint.Unix(path, ServerTarget.ExportName);
        accepting = AcceptAsync();
    }

    public string Name { get; }

    public string Summary => $"{connected} handshakes agreed, {answered} requests answered Ok";

    public void Run(byte[] input)
    {
        int choice = input.Length == 0 ? 0 : input[0];
        int way = choice % (prefixes.Length == 0 ? ClientRequests.Ways : prefixes.Length);
        byte[] rest = input.Length == 0 ? [] : input[1..];
        answer = prefixes.Length == 0 ? rest : [.. prefixes[way], .. rest];
        try
        {
            answered += ClientRequests.RunAsync(endpoint, way, () => connected++).GetAwaiter().GetResult();
        }
        catch (NbdClientException e) when (e.Kind is not (NbdClientErrorKind.InternalFault or NbdClientErrorKind.Timeout))
        {
            // The server is at fault, and the client says how.
        }
    }

    public void Dispose()
    {
        listener.Dispose();
        accepting.GetAwaiter().GetResult();
        directory.Dispose();
    }

    private async Task AcceptAsync()
    {
        while (true)
        {
            try
            {
                using Socket connection = await listener.AcceptAsync();
                await AnswerAsync(connection);
            }
            catch (Exception e) when (e is SocketException or ObjectDisposedException)
            {
                if (listener.SafeHandle.IsClosed)
                {
                    return;
                }
            }
        }
    }

    /// <summary>Says all it has to say, then listens until the client has gone: what it is told does not matter.</summary>
    private async Task AnswerAsync(Socket connection)
    {
        Task sending = SendAsync(connection, answer);
        try
        {
            while (await connection.ReceiveAsync(unwanted) > 0)
            {
                // Read on: the client must never have to wait for us.
            }
        }
        finally
        {
            await sending;
        }
    }

    private static async Task SendAsync(Socket connection, byte[] bytes)
    {
        try
        {
            for (int sent = 0; sent < bytes.Length;)
            {
                sent += await connection.SendAsync(bytes.AsMemory(sent));
            }

            connection.Shutdown(SocketShutdown.Send);
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // The client hung up first.
        }
    }
}
