using Colo.Kubernetes;
using Colo.Operator.Options;

namespace Colo.Operator.Hosting;

/// <summary>The Lease for which operators stand, with a connection of its own: a leader that is busy must be able to renew.</summary>
internal sealed class LeaderElection : IDisposable
{
    public const string LeaseName = "colo-operator";

    private readonly k8s.Kubernetes? api;
    private readonly LeaderElectionService? service;

    public LeaderElection(OperatorOptions options, TimeProvider time, ILogger<LeaderElection> log)
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
        };

        // The process is ended by who runs it: it has more to end than this.
        service = new(api, election, time, log, _ => { });
    }

    public bool IsLeader => service?.IsLeader ?? true;

    public Task RunAsync(Func<CancellationToken, Task> lead, CancellationToken token) => service?.RunAsync(lead, token) ?? lead(token);

    public void Dispose() => api?.Dispose();
}
