using Colo.AgentApi;
using Colo.Driver;
using Colo.Simulation.Engine;
using Colo.Simulation.World;
using Grpc.Core;

namespace Colo.Simulation.Control;

/// <summary>As the driver's PolledAgents: every node is asked each time, over the simulated network.</summary>
internal sealed class SimAgents(SimProcess process, string node, SimWorld world) : IAgents
{
    private static readonly TimeSpan AnswerBound = TimeSpan.FromSeconds(1);

    private readonly SimCalls calls = new(process, node, world);
    private readonly SortedDictionary<string, (long At, bool Stopping)> heard = new(StringComparer.Ordinal);
    private readonly long started = process.Time.GetTimestamp();

    public bool AnnouncesChanges => false;

    public IReadOnlyCollection<string> NodesOf(string uid) => [.. world.Machines.Select(m => m.Node)];

    public async Task<IReadOnlyList<AgentSight>> LookAsync(string uid, IReadOnlyCollection<string> nodes, CancellationToken token) =>
        [.. (await Task.WhenAll(nodes.Select(n => LookAsync(uid, n, token)))).Select(s => world.Mutant.Change(s))];

    public Task<IReadOnlyList<AgentSight>> AskAsync(string uid, IReadOnlyCollection<string> nodes, CancellationToken token) => LookAsync(uid, nodes, token);

    public AgentApi.Agent.AgentClient Client(string other) => calls.To(other);

    private async Task<AgentSight> LookAsync(string uid, string other, CancellationToken token)
    {
        try
        {
            StatusReply reply = await calls.CallAsync<StatusReply>(other, new StatusRequest { Uid = uid }, AnswerBound, token);
            heard[other] = (process.Time.GetTimestamp(), reply.Node.Stopping);
            return new(other, TimeSpan.Zero, null, reply.Node, reply.Volumes.FirstOrDefault(v => v.Uid == uid)) { WasStopping = reply.Node.Stopping };
        }
        catch (RpcException)
        {
            TimeSpan silent = process.Time.GetElapsedTime(heard.TryGetValue(other, out (long At, bool Stopping) last) ? last.At : started);
            return new(other, silent > TimeSpan.Zero ? silent : TimeSpan.FromTicks(1), null, null, null) { WasStopping = last.Stopping };
        }
    }
}
