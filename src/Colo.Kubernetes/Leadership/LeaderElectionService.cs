using k8s;
using Microsoft.Extensions.Logging;

namespace Colo.Kubernetes;

/// <summary>
/// Leads while it holds a Lease of coordination.k8s.io. Leadership once lost never comes back to the same process: the callback ends the
/// process, so that no half-finished thought of a former leader outlives it.
/// </summary>
public sealed class LeaderElectionService
{
    /// <summary>What the process exits with where leadership was lost.</summary>
    public const int LostExitCode = 70;

    /// <param name="client">Best one of its own: a leader that is busy must be able to renew.</param>
    /// <param name="onLost">Called once, with the reason, after the work's token was cancelled; must end the process (set
    /// Environment.ExitCode, IHostApplicationLifetime.StopApplication). Null: Environment.Exit at once.</param>
    public LeaderElectionService(
        IKubernetes client, LeaderElectionOptions options, TimeProvider time, ILogger log, Action<string>? onLost = null) =>
        throw new NotImplementedException();

    /// <summary>True while this process holds the Lease and renewed it within the deadline, by the clock at this very call: a process
    /// that was frozen sees false when it wakes, before anything else had time to run.</summary>
    public bool IsLeader => throw new NotImplementedException();

    /// <summary>Throws <see cref="LeadershipLostException"/> unless <see cref="IsLeader"/>: called before each side effect.</summary>
    public void EnsureLeader() => throw new NotImplementedException();

    /// <summary>
    /// Waits for leadership, then runs <paramref name="lead"/> while it lasts (its token ends with leadership or with
    /// <paramref name="token"/>). On <paramref name="token"/>: waits for the work to end, then releases the Lease. On loss: calls the
    /// callback and throws <see cref="LeadershipLostException"/>.
    /// </summary>
    public Task RunAsync(Func<CancellationToken, Task> lead, CancellationToken token) => throw new NotImplementedException();
}

/// <summary>This process does not lead (any more) and must not act.</summary>
public sealed class LeadershipLostException(string message) : Exception(message);
