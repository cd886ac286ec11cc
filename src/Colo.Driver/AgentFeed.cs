using System.Collections.Concurrent;
using Colo.AgentApi;
using Grpc.Core;
using Microsoft.Extensions.Logging;

namespace Colo.Driver;

/// <summary>
/// Keeps one stream a node, whatever the number of volumes, and announces what changes. Owns the connections; nodes are told to it
/// (<see cref="Set"/>, <see cref="Remove"/>) by whoever discovers them. Silence is counted from the later of the agent's last word and of
/// what was heard elsewhere (<see cref="HeardFrom"/>): a node that renews its Lease is not dead because it cannot be reached from here.
/// </summary>
/// <param name="time">Its monotonic side measures silence.</param>
public sealed class AgentFeed(AgentFeedOptions options, TimeProvider time, ILogger log) : IAgents, IAsyncDisposable
{
    private readonly ConcurrentDictionary<string, NodeFeed> feeds = new(StringComparer.Ordinal);
    private readonly ConcurrentDictionary<string, NodeMemory> memories = new(StringComparer.Ordinal);
    private readonly Lock guard = new();
    private readonly List<Task> ending = [];

    /// <summary>Raised on a thread of the feed; a handler only takes note (adds a key to a queue).</summary>
    public event Action<AgentChange>? Changed;

    public bool AnnouncesChanges => true;

    public IReadOnlyCollection<string> Nodes => [.. feeds.Keys];

    /// <summary>A node, or its new address: <c>host:port</c> or <c>unix:/path</c>. The same address again is nothing.</summary>
    public void Set(string node, string address)
    {
        lock (guard)
        {
            if (feeds.TryGetValue(node, out NodeFeed? present) && present.Connection.Address == address)
            {
                return;
            }

            End(node);
            feeds[node] = new NodeFeed(node, address, options, time, log, Announce, Memory(node));
        }
    }

    /// <summary>The node is gone for good, as far as anybody knows: its connection ends; its silence goes on.</summary>
    public void Remove(string node)
    {
        lock (guard)
        {
            End(node);
        }

        Memory(node).Lose("nobody knows where it is");
        Announce(new AgentChange(node, null));
    }

    /// <summary>The node lives by another's word, such as a renewed Lease that was just seen to change.</summary>
    public void HeardFrom(string node) => Memory(node).HearFromElsewhere();

    /// <summary>By its Lease: the agent was told to end, or is there (again). No sign of life.</summary>
    public void HeardWhetherStopping(string node, bool isStopping) => Memory(node).HearWhetherStopping(isStopping);

    /// <summary>Its own words on itself, its volumes, and whether it answers. A node that nobody told of is silent and holds nothing.</summary>
    public AgentNode Describe(string node) => Memory(node).Describe();

    public IReadOnlyCollection<string> NodesOf(string uid) => [.. memories.Where(m => m.Value.Holds(uid)).Select(m => m.Key)];

    public Task<IReadOnlyList<AgentSight>> LookAsync(string uid, IReadOnlyCollection<string> nodes, CancellationToken token) =>
        Task.FromResult<IReadOnlyList<AgentSight>>([.. nodes.Select(node => Memory(node).Look(uid))]);

    public async Task<IReadOnlyList<AgentSight>> AskAsync(string uid, IReadOnlyCollection<string> nodes, CancellationToken token) =>
        await Task.WhenAll(nodes.Select(node => AskAsync(uid, node, token)));

    public AgentApi.Agent.AgentClient Client(string node) => feeds.TryGetValue(node, out NodeFeed? feed)
        ? feed.Connection.Client
        : throw new RpcException(new Status(StatusCode.Unavailable, $"nobody knows where the agent of {node} is"));

    public async ValueTask DisposeAsync()
    {
        Task[] ended;
        lock (guard)
        {
            foreach (string node in feeds.Keys)
            {
                End(node);
            }

            ended = [.. ending];
        }

        await Task.WhenAll(ended);
    }

    private async Task<AgentSight> AskAsync(string uid, string node, CancellationToken token)
    {
        AgentSight known = Memory(node).Look(uid);
        if (!known.Answers || !feeds.TryGetValue(node, out NodeFeed? feed) || await feed.AskAsync(uid, token) is null)
        {
            return Memory(node).Look(uid);
        }

        // The stream has not noticed yet: not silent for long, and not to be acted upon either.
        return known with { SilentFor = TimeSpan.FromTicks(1), Volume = null };
    }

    private NodeMemory Memory(string node) => memories.GetOrAdd(node, n => new NodeMemory(n, time, Announce));

    private void Announce(AgentChange change) => Changed?.Invoke(change);

    /// <summary>Under the lock.</summary>
    private void End(string node)
    {
        if (feeds.TryRemove(node, out NodeFeed? feed))
        {
            ending.RemoveAll(t => t.IsCompleted);
            ending.Add(feed.DisposeAsync().AsTask());
        }
    }
}

/// <summary>A node as its agent describes it.</summary>
/// <param name="Address">Where it was last looked for; null: nobody knows.</param>
/// <param name="Fault">Why it does not answer, as the last attempt found it; null: it answers, or was not tried.</param>
/// <param name="Status">Null: it never said a word.</param>
/// <param name="Volumes">As it last said; no claim about now where it does not answer.</param>
public sealed record AgentNode(
    string Node, string? Address, bool Answers, TimeSpan SilentFor, string? Fault, NodeStatus? Status, IReadOnlyList<VolumeStatus> Volumes);
