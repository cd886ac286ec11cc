using System.Collections.Concurrent;
using Colo.AgentApi;
using Colo.Driver;
using Grpc.Core;

namespace Colo.Operator.Agents;

/// <summary>
/// The agents of the cluster: found by their Leases, kept up with by one stream a node. Announces what changed; answers from memory what
/// each last said and for how long each has been silent: since the later of the last word on its stream and the last renewal of its Lease
/// that was seen here, by this process's monotonic clock.
/// </summary>
public sealed class AgentFeed : IAgents, IAsyncDisposable
{
    private static readonly TimeSpan AskBound = TimeSpan.FromSeconds(1);

    private readonly IAgentConnector connector;
    private readonly TimeProvider time;
    private readonly ILogger<AgentFeed> log;
    private readonly long started;
    private readonly ConcurrentDictionary<string, AgentLink> links = new(StringComparer.Ordinal);
    private readonly ConcurrentDictionary<string, AgentLease> leases = new(StringComparer.Ordinal);
    private readonly ConcurrentDictionary<string, long> heardOfGone = new(StringComparer.Ordinal);
    private readonly List<Task> closing = [];
    private readonly Lock guard = new();

    public AgentFeed(IAgentConnector connector, TimeProvider time, ILogger<AgentFeed> log)
    {
        this.connector = connector;
        this.time = time;
        this.log = log;
        started = time.GetTimestamp();
    }

    /// <summary>The UID of a volume of which an agent said something worth a round.</summary>
    public event Action<string>? VolumeChanged;

    /// <summary>The name of a node that answers, fell silent, restarted, or has another pool fault than before.</summary>
    public event Action<string>? NodeChanged;

    public bool AnnouncesChanges => true;

    /// <summary>All nodes with an agent, whether it answers or not.</summary>
    public IReadOnlyList<AgentNode> Nodes =>
        [.. links.Values.Select(l => new AgentNode(l.Node, l.Answers, l.Status, l.Fault))
            .OrderBy(n => n.Name, StringComparer.Ordinal)];

    public AgentNode? Node(string name) =>
        links.TryGetValue(name, out AgentLink? l) ? new(l.Node, l.Answers, l.Status, l.Fault) : null;

    /// <summary>The nodes whose agent holds a replica of this volume, as far as it was ever heard.</summary>
    public IReadOnlyCollection<string> NodesOf(string uid) => [.. links.Values.Where(l => l.Holds(uid)).Select(l => l.Node)];

    /// <summary>Replicas that any agent holds, with the node that holds each.</summary>
    public IEnumerable<(string Node, VolumeStatus Volume)> Replicas => links.Values.SelectMany(l => l.Volumes.Select(v => (l.Node, v)));

    public Task<IReadOnlyList<AgentSight>> LookAsync(string uid, IReadOnlyCollection<string> nodes, CancellationToken token) =>
        Task.FromResult<IReadOnlyList<AgentSight>>([.. nodes.Select(n => Look(uid, n))]);

    public async Task<IReadOnlyList<AgentSight>> AskAsync(string uid, IReadOnlyCollection<string> nodes, CancellationToken token) =>
        await Task.WhenAll(nodes.Select(n => AskAsync(uid, n, token)));

    public AgentApi.Agent.AgentClient Client(string node) => links.TryGetValue(node, out AgentLink? link)
        ? link.Client
        : throw new RpcException(new Status(StatusCode.Unavailable, $"no agent of {node} is known"));

    /// <summary>A Lease was seen: for the first time, renewed, or with another address.</summary>
    public void Seen(AgentLease lease)
    {
        lock (guard)
        {
            leases.TryGetValue(lease.Node, out AgentLease? before);
            leases[lease.Node] = lease;
            if (links.TryGetValue(lease.Node, out AgentLink? link) && link.Address == lease.GrpcAddress)
            {
                if (before?.Renewal != lease.Renewal)
                {
                    link.Heard();
                }

                return;
            }

            // A Lease that is merely there says nothing about life: it may be of an agent that died long ago.
            long heard = link?.HeardAt ?? (heardOfGone.TryRemove(lease.Node, out long at) ? at : time.GetTimestamp());
            links[lease.Node] = Link(lease, heard);
            Drop(link);
        }
    }

    /// <summary>Its Lease was deleted: a person, or the end of the node.</summary>
    public void Gone(string node)
    {
        lock (guard)
        {
            leases.TryRemove(node, out _);
            if (links.TryRemove(node, out AgentLink? link))
            {
                heardOfGone[node] = link.HeardAt;
                Drop(link);
                NodeChanged?.Invoke(node);
            }
        }
    }

    public async ValueTask DisposeAsync()
    {
        Task[] all;
        lock (guard)
        {
            foreach (AgentLink link in links.Values)
            {
                Drop(link);
            }

            links.Clear();
            all = [.. closing];
        }

        await Task.WhenAll(all);
    }

    private AgentLink Link(AgentLease lease, long heard) => new(
        lease.Node, lease.GrpcAddress, connector, heard, time, log, uid => VolumeChanged?.Invoke(uid), () => NodeChanged?.Invoke(lease.Node));

    private void Drop(AgentLink? link)
    {
        closing.RemoveAll(t => t.IsCompleted);
        if (link is not null)
        {
            closing.Add(link.DisposeAsync().AsTask());
        }
    }

    private async Task<AgentSight> AskAsync(string uid, string node, CancellationToken token)
    {
        AgentSight known = Look(uid, node);
        if (!known.Answers)
        {
            return known;
        }

        try
        {
            StatusReply reply = await Client(node).StatusAsync(new StatusRequest { Uid = uid }, deadline: DateTime.UtcNow + AskBound, cancellationToken: token);
            return known with { Status = reply.Node ?? known.Status, Volume = reply.Volumes.FirstOrDefault(v => v.Uid == uid) };
        }
        catch (RpcException e) when (e.StatusCode == StatusCode.NotFound)
        {
            return known with { Volume = null };
        }
        catch (RpcException) when (!token.IsCancellationRequested)
        {
            AgentSight now = Look(uid, node);
            return now.Answers ? now with { SilentFor = TimeSpan.FromTicks(1), Volume = null } : now;
        }
    }

    private AgentSight Look(string uid, string node)
    {
        if (links.TryGetValue(node, out AgentLink? link))
        {
            return link.Look(uid);
        }

        TimeSpan silent = time.GetElapsedTime(heardOfGone.TryGetValue(node, out long at) ? at : started);
        return new(node, silent > TimeSpan.Zero ? silent : TimeSpan.FromTicks(1), null, null, null);
    }
}
