using System.Net.Sockets;
using Colo.AgentApi;
using Grpc.Core;
using Grpc.Net.Client;

namespace Colo.Cli.Local;

/// <summary>gRPC to one agent over its unix socket. Each call has a deadline; nothing here retries.</summary>
public sealed class AgentConnection : IDisposable
{
    private static readonly TimeSpan AnswerBound = TimeSpan.FromSeconds(1);

    private readonly GrpcChannel channel;

    public AgentConnection(string socketPath)
    {
        SocketsHttpHandler handler = new()
        {
            ConnectTimeout = AnswerBound,
            ConnectCallback = async (_, token) =>
            {
                Socket socket = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
                try
                {
                    await socket.ConnectAsync(new UnixDomainSocketEndPoint(socketPath), token);
                    return new NetworkStream(socket, ownsSocket: true);
                }
                catch
                {
                    socket.Dispose();
                    throw;
                }
            },
        };
        channel = GrpcChannel.ForAddress("http://localhost", new GrpcChannelOptions { HttpHandler = handler, DisposeHttpClient = true });
        Client = new AgentApi.Agent.AgentClient(channel);
    }

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
}
