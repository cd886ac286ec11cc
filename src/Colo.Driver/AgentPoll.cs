using Colo.AgentApi;
using Grpc.Core;

namespace Colo.Driver;

internal static class AgentPoll
{
    /// <param name="uid">Empty: all volumes.</param>
    /// <returns>Null: no answer within the bound. An agent without this volume answers with none.</returns>
    public static async Task<StatusReply?> AskAsync(AgentApi.Agent.AgentClient client, string uid, TimeSpan bound, CancellationToken token)
    {
        try
        {
            return await client.StatusAsync(new StatusRequest { Uid = uid }, deadline: DateTime.UtcNow + bound, cancellationToken: token);
        }
        catch (RpcException e) when (e.StatusCode == StatusCode.NotFound)
        {
            return new StatusReply();
        }
        catch (RpcException) when (!token.IsCancellationRequested)
        {
            return null;
        }
    }
}
