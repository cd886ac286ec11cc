using System.Net.Security;
using System.Net.Sockets;
using Colo.AgentApi;
using Grpc.Core;
using Grpc.Net.Client;

namespace Colo.Driver;

/// <summary>gRPC to one agent: <c>unix:/path</c>, or <c>host:port</c> with or without TLS. Each call has a deadline; nothing here retries.</summary>
public sealed class AgentConnection : IDisposable
{
    private const string UnixPrefix = "unix:";

    private static readonly TimeSpan AnswerBound = TimeSpan.FromSeconds(1);

    /// <summary>A machine that vanished closes no connection: pings find it out, also where no stream is open.</summary>
    private static readonly TimeSpan PingInterval = TimeSpan.FromSeconds(2);
    private static readonly TimeSpan PingBound = TimeSpan.FromSeconds(2);

    private readonly GrpcChannel channel;

    /// <param name="address">Where its gRPC listener is.</param>
    /// <param name="tls">Null, or a unix socket: plain text. <see cref="AgentTls"/> makes options that take rotated certificates up, for one node.</param>
    public AgentConnection(string address, SslClientAuthenticationOptions? tls = null)
    {
        Address = address;
        bool unix = address.StartsWith(UnixPrefix, StringComparison.Ordinal);
        SocketsHttpHandler handler = new()
        {
            ConnectTimeout = AnswerBound,
            EnableMultipleHttp2Connections = true,
            KeepAlivePingDelay = PingInterval,
            KeepAlivePingTimeout = PingBound,
        };
        if (unix)
        {
            handler.ConnectCallback = (_, token) => ConnectAsync(address[UnixPrefix.Length..], token);
        }
        else if (tls is not null)
        {
            handler.SslOptions = tls;
        }

        channel = GrpcChannel.ForAddress(unix ? "http://localhost" : $"{(tls is null ? "http" : "https")}://{address}", new GrpcChannelOptions
        {
            HttpHandler = handler,
            DisposeHttpClient = true,
        });
        Client = new AgentApi.Agent.AgentClient(channel);
    }

    public string Address { get; }

    public AgentApi.Agent.AgentClient Client { get; }

    public async Task<bool> AnswersAsync(CancellationToken token)
    {
        try
        {
            await Client.StatusAsync(new StatusRequest(), deadline: DateTime.UtcNow + AnswerBound, cancellationToken: token);
            return true;
        }
        catch (RpcException e) when (!token.IsCancellationRequested && e.StatusCode != StatusCode.Unimplemented)
        {
            return false;
        }
    }

    public void Dispose() => channel.Dispose();

    private static async ValueTask<Stream> ConnectAsync(string path, CancellationToken token)
    {
        Socket socket = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            await socket.ConnectAsync(new UnixDomainSocketEndPoint(path), token);
            return new NetworkStream(socket, ownsSocket: true);
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }
}
