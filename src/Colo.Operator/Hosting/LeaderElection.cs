using Colo.Driver;
using Colo.Kubernetes;
using Colo.Operator.Cluster;
using Colo.Operator.Options;

namespace Colo.Operator.Hosting;

/// <summary>The Lease for which operators stand, with a connection of its own: a leader that is busy must be able to renew.</summary>
internal sealed class LeaderElection : IDisposable
{
    public const string LeaseName = "colo-operator";

    /// <summary>Both speak each second; the Lease is looked at about as often. Whose silences begin further apart did not die together.</summary>
    private static readonly TimeSpan Together = TimeSpan.FromSeconds(3);

    private readonly k8s.Kubernetes? api;
    private readonly LeaderElectionService? service;

    public LeaderElection(OperatorOptions options, ClusterWatch cluster, TimeProvider time, ILogger<LeaderElection> log)
    {
        if (!options.LeaderElect)
        {
            return;
        }

        api = KubernetesConnection.Open(KubernetesConnection.FindConfiguration(options.Kubeconfig));
        LeaderElectionOptions election = new()
        {
            Namespace = options.Namespace,
            Name = LeaseName,
            Identity = options.Identity,
            LeaseDuration = options.LeaderLease,
            RenewDeadline = options.LeaderLease * 2 / 3,
            RetryPeriod = options.LeaderLease / 6,
            ShutdownGrace = TimeSpan.FromSeconds(5),
            IsHolderGone = (holder, silent) => HasDiedWithItsNode(holder, silent, cluster.Agents),
        };

        // The process is ended by who runs it: it has more to end than this.
        service = new(api, election, time, log, _ => { });
    }

    public bool IsLeader => service?.IsLeader ?? true;

    public Task RunAsync(Func<CancellationToken, Task> lead, CancellationToken token) => service?.RunAsync(lead, token) ?? lead(token);

    /// <summary>
    /// A node's death may take the leader along with a primary, and a guest waits. The agent beside the leader is followed here, leader or not:
    /// where both fell silent together it was the node, and nobody needs to wait for the Lease. A record is changed by compare-and-swap
    /// alone, so a leader that lives on unheard can do no harm until its deadline.
    /// </summary>
    /// <param name="holder">NAME@NODE; where it names no node, or one whose agent never spoke, nothing is known.</param>
    /// <param name="silent">For how long the Lease was not renewed.</param>
    internal static bool HasDiedWithItsNode(string holder, TimeSpan silent, AgentFeed agents)
    {
        int at = holder.LastIndexOf('@');
        return at > 0 && agents.Describe(holder[(at + 1)..]) is { Answers: false, Status: not null } agent && agent.SilentFor - silent <= Together;
    }

    public void Dispose() => api?.Dispose();
}
