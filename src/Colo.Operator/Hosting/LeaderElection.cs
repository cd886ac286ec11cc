using Colo.Driver;
using Colo.Kubernetes;
using Colo.Operator.Cluster;
using Colo.Operator.Options;

namespace Colo.Operator.Hosting;

/// <summary>The Lease for which operators stand, with a connection of its own: a leader that is busy must be able to renew.</summary>
internal sealed class LeaderElection : IDisposable
{
    public const string LeaseName = "colo-operator";

    /// <summary>An agent speaks each second; a late word and a late look at the Lease come on top.</summary>
    private static readonly TimeSpan AgentsCadence = TimeSpan.FromSeconds(2);

    private readonly k8s.Kubernetes? api;
    private readonly LeaderElectionService? service;

    public LeaderElection(OperatorOptions options, ClusterWatch cluster, TimeProvider time, ILogger<LeaderElection> log)
    {
        if (!options.LeaderElect)
        {
            return;
        }

        api = KubernetesConnection.Open(KubernetesConnection.FindConfiguration(options.Kubeconfig));
        TimeSpan retry = options.LeaderLease / 6;
        TimeSpan together = Together(retry);
        LeaderElectionOptions election = new()
        {
            Namespace = options.Namespace,
            Name = LeaseName,
            Identity = options.Identity,
            LeaseDuration = options.LeaderLease,
            RenewDeadline = options.LeaderLease * 2 / 3,
            RetryPeriod = retry,
            ShutdownGrace = TimeSpan.FromSeconds(5),
            IsHolderGone = (holder, silent) => HasDiedWithItsNode(holder, silent, cluster.Agents, together),
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
    /// <param name="silent">For how long the Lease was not seen renewed.</param>
    /// <param name="agents">What was heard of the agents.</param>
    /// <param name="together">Whose silences begin further apart did not die together.</param>
    internal static bool HasDiedWithItsNode(string holder, TimeSpan silent, AgentFeed agents, TimeSpan together)
    {
        int at = holder.LastIndexOf('@');
        return at > 0 && agents.Describe(holder[(at + 1)..]) is { Answers: false, Status: not null } agent && agent.SilentFor - silent <= together;
    }

    public void Dispose() => api?.Dispose();

    /// <summary>A renewal is seen up to a look later than it was made, so the Lease of a dead leader seems to fall silent later than its agent.</summary>
    private static TimeSpan Together(TimeSpan retry) => (retry * LeaderElectionOptions.Jitter) + AgentsCadence;
}
