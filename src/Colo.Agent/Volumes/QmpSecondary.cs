using System.Net.Sockets;
using System.Text.Json;

namespace Colo.Agent.Volumes;

/// <summary>
/// A QEMU secondary's checkpoints, asked for over its QMP monitor (docs/interop/qmp-spec; xen-colo-do-checkpoint of
/// qapi/migration.json). Whoever runs that QEMU has started its replication before. One connection a command: checkpoints are seconds
/// apart, and a QEMU that was restarted needs no reconnect logic. A monitor takes one client at a time: this one wants its own.
/// </summary>
public sealed class QmpSecondary(string address, TimeSpan timeout)
{
    private const int MaxLineBytes = 1 << 20;

    public Task CheckpointAsync(CancellationToken token) => ExecuteAsync("""{"execute":"xen-colo-do-checkpoint"}""", token);

    /// <exception cref="IOException">no connection, or QEMU answered an error; the message carries its words.</exception>
    private async Task ExecuteAsync(string command, CancellationToken token)
    {
        using CancellationTokenSource limit = CancellationTokenSource.CreateLinkedTokenSource(token);
        limit.CancelAfter(timeout);
        try
        {
            using Socket socket = await ConnectAsync(limit.Token);
            await using NetworkStream stream = new(socket);
            using StreamReader reader = new(stream);
            await ReadAnswerAsync(reader, "QMP", limit.Token);
            foreach (string line in new[] { """{"execute":"qmp_capabilities"}""", command })
            {
                await stream.WriteAsync(System.Text.Encoding.UTF8.GetBytes(line + "\n"), limit.Token);
                await ReadAnswerAsync(reader, "return", limit.Token);
            }
        }
        catch (OperationCanceledException e) when (!token.IsCancellationRequested)
        {
            throw new IOException($"QMP at {address} did not answer within {timeout}", e);
        }
        catch (SocketException e)
        {
            throw new IOException($"QMP at {address}: {e.Message}", e);
        }
    }

    private async Task<Socket> ConnectAsync(CancellationToken token)
    {
        const string unix = "unix:";
        bool isUnix = address.StartsWith(unix, StringComparison.Ordinal);
        Socket socket = isUnix
            ? new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified)
            : new(SocketType.Stream, ProtocolType.Tcp);
        try
        {
            if (isUnix)
            {
                await socket.ConnectAsync(new UnixDomainSocketEndPoint(address[unix.Length..]), token);
            }
            else
            {
                int colon = address.LastIndexOf(':');
                await socket.ConnectAsync(address[..colon].Trim('[', ']'), int.Parse(address.AsSpan(colon + 1)), token);
            }

            return socket;
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    /// <summary>Skips events; an error object is an exception.</summary>
    private async Task ReadAnswerAsync(StreamReader reader, string wanted, CancellationToken token)
    {
        while (await reader.ReadLineAsync(token) is { } line)
        {
            if (line.Length > MaxLineBytes)
            {
                throw new IOException($"QMP at {address}: a line of {line.Length} characters");
            }

            using JsonDocument answer = Parse(line);
            if (answer.RootElement.TryGetProperty("error", out JsonElement error))
            {
                throw new IOException($"QMP at {address}: {(error.TryGetProperty("desc", out JsonElement words) ? words : error)}");
            }

            if (answer.RootElement.TryGetProperty(wanted, out _))
            {
                return;
            }
        }

        throw new IOException($"QMP at {address} closed the connection");
    }

    private JsonDocument Parse(string line)
    {
        try
        {
            return JsonDocument.Parse(line);
        }
        catch (JsonException e)
        {
            throw new IOException($"QMP at {address}: not JSON: {e.Message}", e);
        }
    }
}
