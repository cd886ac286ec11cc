using System.Net.Sockets;
using System.Text.Json;
using Colo.Control;

namespace Colo.Cli.Local;

/// <summary>The control loop's door: one request a connection. The socket's directory is open to its owner only.</summary>
public sealed class ControlServer(string socketPath, Func<ControlRequest, CancellationToken, Task<ControlReply>> answer)
{
    public async Task RunAsync(CancellationToken token)
    {
        File.Delete(socketPath);
        using Socket listener = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        listener.Bind(new UnixDomainSocketEndPoint(socketPath));
        listener.Listen(16);
        List<Task> served = [];
        try
        {
            while (!token.IsCancellationRequested)
            {
                Socket connection = await listener.AcceptAsync(token);
                served.RemoveAll(t => t.IsCompleted);
                served.Add(ServeAsync(connection, token));
            }
        }
        catch (OperationCanceledException)
        {
            // The way it ends.
        }

        await Task.WhenAll(served);
        File.Delete(socketPath);
    }

    private async Task ServeAsync(Socket connection, CancellationToken token)
    {
        try
        {
            using NetworkStream stream = new(connection, ownsSocket: true);
            using StreamReader reader = new(stream);
            using StreamWriter writer = new(stream);
            string? line = await reader.ReadLineAsync(token);
            if (line is null)
            {
                return;
            }

            ControlReply reply;
            try
            {
                ControlRequest request = JsonSerializer.Deserialize<ControlRequest>(line, ControlJson.Line) ?? throw new JsonException("no request");
                reply = await answer(request, token);
            }
            catch (JsonException e)
            {
                reply = new ControlReply(false, $"not a request: {e.Message}");
            }

            await writer.WriteLineAsync(JsonSerializer.Serialize(reply, ControlJson.Line).AsMemory(), token);
        }
        catch (Exception e) when (e is IOException or SocketException or OperationCanceledException)
        {
            // Whoever asked has gone, or the loop ends; the request itself was carried out or was not, which status tells.
        }
    }
}
