using System.Net.Sockets;
using System.Text.Json;

namespace Colo.Cli.Local;

/// <summary>Asks the control loop of one installation.</summary>
public sealed class ControlClient(LocalLayout layout)
{
    /// <returns>Null: no loop listens there.</returns>
    public async Task<ControlReply?> TryAskAsync(ControlRequest request, CancellationToken token)
    {
        using Socket socket = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            await socket.ConnectAsync(new UnixDomainSocketEndPoint(layout.ControlSocket), token);
        }
        catch (SocketException)
        {
            return null;
        }

        try
        {
            using NetworkStream stream = new(socket, ownsSocket: false);
            using StreamReader reader = new(stream);
            using StreamWriter writer = new(stream) { AutoFlush = true };
            await writer.WriteLineAsync(JsonSerializer.Serialize(request, ControlJson.Line).AsMemory(), token);
            string? line = await reader.ReadLineAsync(token);
            return line is null ? null : JsonSerializer.Deserialize<ControlReply>(line, ControlJson.Line);
        }
        catch (IOException)
        {
            return null;
        }
    }

    public async Task<ControlReply> AskAsync(ControlRequest request, CancellationToken token) =>
        await TryAskAsync(request, token)
        ?? throw new CommandException(ExitCode.NotRunning, $"no control loop runs for {layout.Root}; `coloctl local up -f volume.yaml` starts one");
}
