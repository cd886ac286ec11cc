using Colo.Api;
using Colo.Driver;
using Colo.Kubernetes;
using Colo.Operator.Agents;
using Colo.Operator.Options;
using k8s;
using k8s.Models;

namespace Colo.Operator.Cluster;

/// <summary>
/// What the operator sees of the cluster: volumes, nodes and the agents' Leases by informers, the agents themselves by their streams. Turns
/// every change into keys of volumes to look at; decides nothing. Runs on leader and standby alike, so that a new leader has seen for
/// itself for how long each agent is silent.
/// </summary>
public sealed class ClusterWatch : IDisposable
{
    /// <summary>Shorter than the shortest useful heartbeatTimeout leaves: a dead node's silence is counted meanwhile.</summary>
    private static readonly TimeSpan FirstWord = TimeSpan.FromSeconds(2);
    private static readonly TimeSpan FirstWordCheck = TimeSpan.FromMilliseconds(50);

    private readonly IReadOnlyList<Informer<ReplicatedVolume>> volumes;
    private readonly Informer<V1Lease> leases;
    private readonly Informer<V1Node> nodes;
    private readonly AgentFeed feed;
    private readonly VolumeIndex index = new();
    private readonly WorkQueue queue;
    private readonly TimeProvider time;
    private readonly TaskCompletionSource heard = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public ClusterWatch(IKubernetes api, AgentFeed feed, WorkQueue queue, OperatorOptions options, TimeProvider time, ILoggerFactory logs)
    {
        this.feed = feed;
        this.queue = queue;
        this.time = time;
        IReadOnlyList<string> namespaces = options.WatchNamespaces.Count == 0 ? [""] : options.WatchNamespaces;
        volumes = [.. namespaces.Select(ns =>
            new Informer<ReplicatedVolume>(api, ResourceVolumes.Type, new InformerOptions { Namespace = ns }, time, logs.CreateLogger<Informer<ReplicatedVolume>>()))];
        leases = new(
            api, ResourceTypes.Leases, new InformerOptions { Namespace = options.Namespace, LabelSelector = AgentLease.Label }, time,
            logs.CreateLogger<Informer<V1Lease>>());
        nodes = new(api, ResourceTypes.Nodes, new InformerOptions(), time, logs.CreateLogger<Informer<V1Node>>());
        foreach (Informer<ReplicatedVolume> informer in volumes)
        {
            informer.Changed += OnVolume;
            informer.Unreadable += o => Unreadable?.Invoke(o);
        }

        leases.Changed += OnLease;
        nodes.Changed += OnNode;
        feed.Changed += OnAgent;
    }

    /// <summary>A volume that this version cannot read.</summary>
    public event Action<UnreadableObject>? Unreadable;

    public AgentFeed Agents => feed;

    /// <summary>Completes when all that there was at the beginning has been seen.</summary>
    public Task Synced => Task.WhenAll([.. volumes.Select(v => v.Synced), leases.Synced, nodes.Synced]);

    /// <summary>Completes once every agent with a Lease has answered, or had the time to: whoever works before that takes living nodes for
    /// silent ones and tells everybody so. A standby has been through it long before it leads.</summary>
    public Task Heard => heard.Task;

    public IEnumerable<Resource<ReplicatedVolume>> Volumes => volumes.SelectMany(v => v.List());

    public Resource<ReplicatedVolume>? Volume(ObjectKey key) => volumes.Select(v => v.Get(key)).FirstOrDefault(v => v is not null);

    public ObjectKey? VolumeOfUid(string uid) => index.OfUid(uid);

    public IReadOnlyList<Resource<V1Node>> Nodes => nodes.List();

    /// <summary>The names of all nodes that ever had a Lease here, for finalizers that carry a shortened name.</summary>
    public IEnumerable<string> KnownNodes => leases.List().Select(l => l.Value.Spec?.HolderIdentity).Concat(nodes.List().Select(n => n.Metadata.Name)).OfType<string>();

    public Task RunAsync(CancellationToken token) =>
        Task.WhenAll([.. volumes.Select(v => v.RunAsync(token)), leases.RunAsync(token), nodes.RunAsync(token), ListenAsync(token)]);

    public void Dispose() => feed.Changed -= OnAgent;

    private async Task ListenAsync(CancellationToken token)
    {
        await Synced.WaitAsync(token);
        long start = time.GetTimestamp();
        while (feed.Nodes.Any(n => !feed.Describe(n).Answers) && time.GetElapsedTime(start) < FirstWord)
        {
            await Task.Delay(FirstWordCheck, time, token);
        }

        heard.SetResult();
    }

    private void OnVolume(ResourceChange<ReplicatedVolume> change)
    {
        index.Apply(change);
        queue.Add(change.Key);
    }

    private void OnLease(ResourceChange<V1Lease> change)
    {
        AgentLease? before = change.Old is { } old ? AgentLease.Read(old.Metadata, old.Value.Spec) : null;
        AgentLease? now = change.New is { } present ? AgentLease.Read(present.Metadata, present.Value.Spec) : null;
        if (now is null)
        {
            if (before is not null)
            {
                feed.Remove(before.Node);
            }

            return;
        }

        // That a Lease is there is no sign of life: its agent may be dead for long. That it changed under our eyes is one.
        feed.Set(now.Node, now.GrpcAddress);
        if (before is not null && before.Renewal != now.Renewal)
        {
            feed.HeardFrom(now.Node);
        }

        if (before?.IsStopping != now.IsStopping)
        {
            feed.HeardWhetherStopping(now.Node, now.IsStopping);
        }
    }

    private void OnNode(ResourceChange<V1Node> change)
    {
        bool matters = change.Old is not { } old || change.New is not { } now
            || old.Value.Spec?.Unschedulable != now.Value.Spec?.Unschedulable
            || !SameLabels(old.Metadata.Labels, now.Metadata.Labels);
        if (matters)
        {
            AddAll(index.OfNode(change.Key.Name));
        }
    }

    private void OnAgent(AgentChange change)
    {
        if (change.Uid is null)
        {
            AddAll(index.OfNode(change.Node));
        }
        else if (index.OfUid(change.Uid) is { } key)
        {
            queue.Add(key);
        }
    }

    private void AddAll(IEnumerable<ObjectKey> keys)
    {
        foreach (ObjectKey key in keys)
        {
            queue.Add(key);
        }
    }

    private static bool SameLabels(IDictionary<string, string>? left, IDictionary<string, string>? right) =>
        (left?.Count ?? 0) == (right?.Count ?? 0)
        && (left ?? new Dictionary<string, string>()).All(l => right!.TryGetValue(l.Key, out string? value) && value == l.Value);
}
