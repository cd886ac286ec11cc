using System.Collections.Concurrent;
using Colo.AgentApi;
using Grpc.Core;

namespace Colo.Driver;

/// <summary>A fixed set of agents that are asked each time: the control plane of one machine. Owns no connection.</summary>
public sealed class PolledAgents : IAgents
{
    /// <summary>A poll that takes longer counts as silence; far above what a busy machine needs.</summary>
    private static readonly TimeSpan AnswerBound = TimeSpan.FromMilliseconds(1000);

    private readonly IReadOnlyDictionary<string, AgentConnection> agents;
    private readonly TimeProvider time;
    private readonly ConcurrentDictionary<string, Heard> heard = new(StringComparer.Ordinal);
    private readonly long started;

    public PolledAgents(IReadOnlyDictionary<string, AgentConnection> agents, TimeProvider time)
    {
        this.agents = agents;
        this.time = time;
        started = time.GetTimestamp();
    }

    private sealed record Heard(long At, DateTimeOffset Time);

    public bool AnnouncesChanges => false;

    public IReadOnlyCollection<string> NodesOf(string uid) => [.. agents.Keys];

    public async Task<IReadOnlyList<AgentSight>> LookAsync(string uid, IReadOnlyCollection<string> nodes, CancellationToken token) =>
        await Task.WhenAll(nodes.Select(node => LookAsync(uid, node, token)));

    public Task<IReadOnlyList<AgentSight>> AskAsync(string uid, IReadOnlyCollection<string> nodes, CancellationToken token) => LookAsync(uid, nodes, token);

    public AgentApi.Agent.AgentClient Client(string node) => agents.TryGetValue(node, out AgentConnection? agent)
        ? agent.Client
        : throw new RpcException(new Status(StatusCode.Unavailable, $"there is no agent of {node}"));

    private async Task<AgentSight> LookAsync(string uid, string node, CancellationToken token)
    {
        StatusReply? reply = agents.TryGetValue(node, out AgentConnection? agent)
            ? (await AgentPoll.AskAsync(agent.Client, uid, AnswerBound, token)).Reply
            : null;
        if (reply is not null)
        {
            heard[node] = new(time.GetTimestamp(), time.GetUtcNow());
            return new(node, TimeSpan.Zero, heard[node].Time, reply.Node, reply.Volumes.FirstOrDefault(v => v.Uid == uid));
        }

        Heard? last = heard.GetValueOrDefault(node);
        TimeSpan silent = time.GetElapsedTime(last?.At ?? started);
        return new(node, silent > TimeSpan.Zero ? silent : TimeSpan.FromTicks(1), last?.Time, null, null);
    }
}
