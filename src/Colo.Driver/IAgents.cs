using Colo.AgentApi;

namespace Colo.Driver;

/// <summary>What one node's agent last said of one volume, and for how long it has been silent since.</summary>
/// <param name="SilentFor">By this process's monotonic clock; zero: it answers. A node that was never heard of is silent since it was first
/// asked for, so that a control plane that has just started takes nobody for dead.</param>
/// <param name="LastSeen">For people only; nothing is decided by it.</param>
/// <param name="Status">The node as it last described itself; null: never.</param>
/// <param name="Volume">Null: it holds no open replica of this volume, or does not answer.</param>
public sealed record AgentSight(string Node, TimeSpan SilentFor, DateTimeOffset? LastSeen, NodeStatus? Status, VolumeStatus? Volume)
{
    public bool Answers => SilentFor == TimeSpan.Zero;

    /// <summary>The last that was heard of it is that it was told to end.</summary>
    public bool WasStopping { get; init; }
}

/// <summary>The agents as whoever drives a volume sees them. Safe for calls from several threads.</summary>
public interface IAgents
{
    /// <summary>Whether changes are announced, so that a round need not be repeated only to see whether something changed.</summary>
    bool AnnouncesChanges { get; }

    /// <summary>The nodes to look at for this volume, beyond those that its record names.</summary>
    IReadOnlyCollection<string> NodesOf(string uid);

    /// <summary>What is known of these nodes; asks them where nobody keeps up with them. A node that does not answer is a result.</summary>
    Task<IReadOnlyList<AgentSight>> LookAsync(string uid, IReadOnlyCollection<string> nodes, CancellationToken token);

    /// <summary>Asks those that are believed to answer, now: whoever is about to act does not act on old news.</summary>
    Task<IReadOnlyList<AgentSight>> AskAsync(string uid, IReadOnlyCollection<string> nodes, CancellationToken token);

    /// <summary>For the calls that change something.</summary>
    /// <exception cref="Grpc.Core.RpcException">nobody knows where this node's agent is (Unavailable).</exception>
    AgentApi.Agent.AgentClient Client(string node);
}
