using Colo.Agent.Options;
using Colo.Agent.Service;
using k8s;
using k8s.Autorest;
using k8s.Models;

namespace Colo.Agent.Cluster;

/// <summary>What became of the last attempt to renew the Lease.</summary>
public enum NodeLeaseState
{
    /// <summary>Not in a cluster, or not tried yet.</summary>
    None,
    Held,

    /// <summary>The API server did not answer, or refused.</summary>
    Failing,

    /// <summary>Another live process keeps the Lease of this node name.</summary>
    HeldByAnother,
}

/// <summary>
/// Keeps the Lease colo-agent-NODE, by which the operator finds this agent and sees that it lives: made where there is none, renewed
/// every second once the agent is ready, taken over at once from this agent's own previous life, and from a stranger only after its
/// renewals were seen to stop. It decides nothing about I/O: a Lease that cannot be renewed stops no guest.
/// </summary>
public sealed class NodeLease(
    ClusterAccess cluster,
    AgentOptions options,
    AgentIdentity identity,
    BoundAddresses addresses,
    IHostApplicationLifetime lifetime,
    TimeProvider time,
    ILogger<NodeLease> log) : BackgroundService
{
    public const string NamePrefix = "colo-agent-";
    private const int DurationSeconds = 3;
    private const string InstanceAnnotation = "colo.dev/agent-instance";
    private const string StorageAnnotation = "colo.dev/agent-storage";
    private const string StoppingAnnotation = "colo.dev/agent-stopping";
    private static readonly TimeSpan Interval = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan GoodbyeBound = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan Duration = TimeSpan.FromSeconds(DurationSeconds);

    private V1Lease? held;
    private (string ResourceVersion, string First, long Since) stranger = ("", "", 0);
    private bool everHeld;
    private NodeLeaseState state;

    public NodeLeaseState State => state;

    /// <summary>When it was last renewed, by the monotonic clock; null: never.</summary>
    public long? RenewedAt { get; private set; }

    private string Name => NamePrefix + options.NodeName.ToLowerInvariant();

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        if (!cluster.IsEnabled)
        {
            return;
        }

        try
        {
            await ReadyAsync(stoppingToken);
            using PeriodicTimer timer = new(Interval, time);
            do
            {
                await KeepAsync(stoppingToken);
            }
            while (await timer.WaitForNextTickAsync(stoppingToken));
        }
        catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
        {
            await SayGoodbyeAsync();
        }
    }

    /// <summary>
    /// The operator sees the renewals stop, and that they stop in order: an operator that took office since knows it too, and does not take a
    /// restart for a death. Where this fails, it is taken for one, which is safe.
    /// </summary>
    private async Task SayGoodbyeAsync()
    {
        if (held is not null)
        {
            using CancellationTokenSource bound = new(GoodbyeBound);
            await KeepAsync(bound.Token).ContinueWith(_ => { }, TaskScheduler.Default);
        }
    }

    /// <summary>A Lease says "call me": not before adoption is over and gRPC listens.</summary>
    private async Task ReadyAsync(CancellationToken token)
    {
        TaskCompletionSource ready = new(TaskCreationOptions.RunContinuationsAsynchronously);
        using CancellationTokenRegistration started = lifetime.ApplicationStarted.Register(() => ready.TrySetResult());
        await ready.Task.WaitAsync(token);
    }

    private async Task KeepAsync(CancellationToken token)
    {
        using CancellationTokenSource limit = CancellationTokenSource.CreateLinkedTokenSource(token);
        limit.CancelAfter(cluster.RequestTimeout);
        try
        {
            held = await RenewAsync(limit.Token);
            if (held is not null)
            {
                RenewedAt = time.GetTimestamp();
                everHeld = true;
                Become(NodeLeaseState.Held, "");
            }
        }
        catch (HttpOperationException e) when (e.Response.StatusCode == System.Net.HttpStatusCode.Conflict)
        {
            // Somebody else changed it: read it at the next turn.
            held = null;
        }
        catch (Exception e) when (!token.IsCancellationRequested)
        {
            held = null;
            string reason = e is OperationCanceledException ? $"no answer within {cluster.RequestTimeout.TotalSeconds:0.#} s"
                : e is HttpOperationException { Response: { } response } ? $"{(int)response.StatusCode} {response.Content}"
                : e.GetBaseException().Message;
            Become(NodeLeaseState.Failing, reason);
        }
    }

    /// <returns>The Lease as written; null where it is another's.</returns>
    private async Task<V1Lease?> RenewAsync(CancellationToken token)
    {
        V1Lease? found = held ?? await FindAsync(token);
        if (found is null)
        {
            return await cluster.Client.CoordinationV1.CreateNamespacedLeaseAsync(Written(null), cluster.Namespace, cancellationToken: token);
        }

        return MayWrite(found)
            ? await cluster.Client.CoordinationV1.ReplaceNamespacedLeaseAsync(Written(found), Name, cluster.Namespace, cancellationToken: token)
            : null;
    }

    private async Task<V1Lease?> FindAsync(CancellationToken token)
    {
        try
        {
            return await cluster.Client.CoordinationV1.ReadNamespacedLeaseAsync(Name, cluster.Namespace, cancellationToken: token);
        }
        catch (HttpOperationException e) when (e.Response.StatusCode == System.Net.HttpStatusCode.NotFound)
        {
            return null;
        }
    }

    private bool MayWrite(V1Lease found)
    {
        string? instance = found.GetAnnotation(InstanceAnnotation);
        if (instance == identity.Instance
            || string.IsNullOrEmpty(found.Spec?.HolderIdentity)
            || (!everHeld && found.GetAnnotation(StorageAnnotation) == identity.Storage))
        {
            return true;
        }

        string version = found.Metadata.ResourceVersion;
        if (stranger.ResourceVersion != version)
        {
            stranger = (version, stranger.First.Length > 0 ? stranger.First : version, time.GetTimestamp());
        }

        if (time.GetElapsedTime(stranger.Since) >= Duration)
        {
            stranger = ("", "", 0);
            return true;
        }

        if (stranger.First != version)
        {
            Become(NodeLeaseState.HeldByAnother, found.GetAnnotation(GrpcAnnotation) ?? "");
            StopWhereNew();
        }

        return false;
    }

    /// <summary>Two live agents of one name would both be "the primary on this node": the one that came later goes, before anybody calls it.</summary>
    private void StopWhereNew()
    {
        if (!everHeld)
        {
            Environment.ExitCode = 1;
            lifetime.StopApplication();
        }
    }

    private V1Lease Written(V1Lease? former)
    {
        bool isSameLife = former?.GetAnnotation(InstanceAnnotation) == identity.Instance;
        DateTime now = time.GetUtcNow().UtcDateTime;
        V1Lease lease = new()
        {
            Metadata = former?.Metadata ?? new() { Name = Name, NamespaceProperty = cluster.Namespace },
            Spec = new()
            {
                HolderIdentity = options.NodeName,
                LeaseDurationSeconds = DurationSeconds,
                RenewTime = now,
                AcquireTime = isSameLife ? former!.Spec?.AcquireTime : now,
                LeaseTransitions = (former?.Spec?.LeaseTransitions ?? 0) + (former is null || isSameLife ? 0 : 1),
            },
        };
        lease.Metadata.ManagedFields = null;
        lease.SetLabel("app.kubernetes.io/name", "colo-operator");
        lease.SetLabel("app.kubernetes.io/component", "agent");
        lease.SetAnnotation(GrpcAnnotation, addresses.Grpc);
        lease.SetAnnotation("colo.dev/replication-address", addresses.Replication);
        lease.SetAnnotation("colo.dev/version", NodeReport.Version);
        lease.SetAnnotation(InstanceAnnotation, identity.Instance);
        lease.SetAnnotation(StorageAnnotation, identity.Storage);
        lease.SetAnnotation(StoppingAnnotation, lifetime.ApplicationStopping.IsCancellationRequested ? "true" : null);
        return lease;
    }

    private const string GrpcAnnotation = "colo.dev/grpc-address";

    /// <summary>One line for each change: an API server that is away for an hour is not a log of 3600 lines.</summary>
    private void Become(NodeLeaseState next, string reason)
    {
        if (next == state)
        {
            return;
        }

        state = next;
        switch (next)
        {
            case NodeLeaseState.Held:
                log.LeaseHeld(cluster.Namespace, Name);
                break;
            case NodeLeaseState.Failing:
                log.LeaseNotRenewed(cluster.Namespace, Name, reason);
                break;
            case NodeLeaseState.HeldByAnother:
                log.LeaseOfAnother(options.NodeName, reason, cluster.Namespace, Name);
                break;
        }
    }
}
