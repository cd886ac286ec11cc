using Colo.AgentApi;
using Grpc.Core;

namespace Colo.Driver;

/// <summary>One question to one agent.</summary>
/// <param name="Reply">Null: no answer within the bound. An agent without the volume answers with none.</param>
/// <param name="Fault">Why there is none.</param>
internal readonly record struct AgentPoll(StatusReply? Reply, string Fault)
{
    /// <param name="uid">Empty: all volumes.</param>
    public static async Task<AgentPoll> AskAsync(AgentApi.Agent.AgentClient client, string uid, TimeSpan bound, CancellationToken token)
    {
        try
        {
            return new(await client.StatusAsync(new StatusRequest { Uid = uid }, deadline: DateTime.UtcNow + bound, cancellationToken: token), "");
        }
        catch (RpcException e) when (e.StatusCode == StatusCode.NotFound)
        {
            return new(new StatusReply(), "");
        }
        catch (Exception e) when (e is RpcException or ObjectDisposedException && !token.IsCancellationRequested)
        {
            return new(null, FaultOf(e));
        }
    }

    public static string FaultOf(Exception e) => e switch
    {
        RpcException { StatusCode: StatusCode.DeadlineExceeded } => "it does not answer",
        RpcException rpc => $"{rpc.Status.Detail} ({rpc.StatusCode})",
        ObjectDisposedException => "the connection to it was closed",
        _ => e.Message,
    };
}
