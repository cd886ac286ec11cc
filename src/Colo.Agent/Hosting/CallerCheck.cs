using Grpc.Core;
using Grpc.Core.Interceptors;

namespace Colo.Agent.Hosting;

/// <summary>Refuses a caller whose certificate is one of ours but not the operator's (an agent's, say), with PERMISSION_DENIED and the names.</summary>
public sealed class CallerCheck(PeerNames peers) : Interceptor
{
    public override Task<TResponse> UnaryServerHandler<TRequest, TResponse>(
        TRequest request, ServerCallContext context, UnaryServerMethod<TRequest, TResponse> continuation)
    {
        Require(context);
        return continuation(request, context);
    }

    public override Task ServerStreamingServerHandler<TRequest, TResponse>(
        TRequest request,
        IServerStreamWriter<TResponse> responseStream,
        ServerCallContext context,
        ServerStreamingServerMethod<TRequest, TResponse> continuation)
    {
        Require(context);
        return continuation(request, responseStream, context);
    }

    public override Task<TResponse> ClientStreamingServerHandler<TRequest, TResponse>(
        IAsyncStreamReader<TRequest> requestStream,
        ServerCallContext context,
        ClientStreamingServerMethod<TRequest, TResponse> continuation)
    {
        Require(context);
        return continuation(requestStream, context);
    }

    public override Task DuplexStreamingServerHandler<TRequest, TResponse>(
        IAsyncStreamReader<TRequest> requestStream,
        IServerStreamWriter<TResponse> responseStream,
        ServerCallContext context,
        DuplexStreamingServerMethod<TRequest, TResponse> continuation)
    {
        Require(context);
        return continuation(requestStream, responseStream, context);
    }

    private void Require(ServerCallContext context)
    {
        ConnectionInfo connection = context.GetHttpContext().Connection;
        if (peers.RefusalOfOperator(connection.ClientCertificate, context.Peer) is { } refusal)
        {
            // A connection keeps the certificate that it began with: whoever mends it must come by another.
            connection.RequestClose();
            throw new RpcException(new Status(StatusCode.PermissionDenied, refusal));
        }
    }
}
