using System.Net.Sockets;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace Colo.Testing.Qemu;

/// <summary>QEMU refused a command; <see cref="ErrorClass"/> is QMP's ("GenericError", "CommandNotFound", ...).</summary>
public sealed class QmpException(string command, string errorClass, string description)
    : Exception($"{command}: {description}")
{
    public string ErrorClass { get; } = errorClass;
}

/// <summary>
/// QEMU's control socket (docs/interop/qmp-spec): one command at a time, events are skipped. Every answer is waited for with a
/// bound, so that a QEMU that hangs fails the test that asked.
/// </summary>
public sealed class QmpClient : IAsyncDisposable
{
    private static readonly TimeSpan AnswerTimeout = TimeSpan.FromSeconds(60);

    private readonly NetworkStream stream;
    private readonly StreamReader reader;

    private QmpClient(NetworkStream stream)
    {
        this.stream = stream;
        reader = new StreamReader(stream, Encoding.UTF8);
    }

    /// <summary>Connects and ends QMP's negotiation; waits until QEMU has made the socket.</summary>
    public static async Task<QmpClient> ConnectAsync(string socketPath, Func<string> whyNot)
    {
        Socket? socket = null;
        await Eventually.TrueAsync(
            async () =>
            {
                Socket attempt = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
                try
                {
                    await attempt.ConnectAsync(new UnixDomainSocketEndPoint(socketPath));
                    socket = attempt;
                    return true;
                }
                catch (SocketException e)
                {
                    attempt.Dispose();
                    return whyNot() is { Length: > 0 } said ? throw new InvalidOperationException(said, e) : false;
                }
            },
            $"a QMP socket at {socketPath}");

        QmpClient client = new(new NetworkStream(socket!, ownsSocket: true));
        await client.ReadLineAsync("greeting");
        await client.ExecuteAsync("qmp_capabilities");
        return client;
    }

    /// <exception cref="QmpException">QEMU answered with an error.</exception>
    public async Task<JsonElement> ExecuteAsync(string command, JsonObject? arguments = null)
    {
        JsonObject request = new() { ["execute"] = command };
        if (arguments is not null)
        {
            request["arguments"] = arguments;
        }

        await stream.WriteAsync(Encoding.UTF8.GetBytes(request.ToJsonString() + "\n"));
        while (true)
        {
            JsonElement answer = JsonDocument.Parse(await ReadLineAsync(command)).RootElement;
            if (answer.TryGetProperty("return", out JsonElement value))
            {
                return value;
            }

            if (answer.TryGetProperty("error", out JsonElement error))
            {
                throw new QmpException(command, error.GetProperty("class").GetString()!, error.GetProperty("desc").GetString()!);
            }
        }
    }

    public async ValueTask DisposeAsync()
    {
        reader.Dispose();
        await stream.DisposeAsync();
    }

    private async Task<string> ReadLineAsync(string what)
    {
        using CancellationTokenSource limit = new(AnswerTimeout);
        try
        {
            return await reader.ReadLineAsync(limit.Token) ?? throw new IOException($"QEMU closed its control socket during {what}");
        }
        catch (OperationCanceledException e)
        {
            throw new TimeoutException($"QEMU did not answer {what} within {AnswerTimeout}", e);
        }
    }
}
