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

    private const int HasteWhereHolderIsGone = 5;

    private readonly LeaseCandidate candidate;
    private readonly LeaderElectionOptions options;
    private readonly TimeProvider time;
    private readonly ILogger log;
    private readonly Action<string> onLost;
    private readonly ObjectKey lease;
    private int started;
    private volatile Phase phase = Phase.NotStarted;

    /// <param name="client">Best one of its own: a leader that is busy must be able to renew.</param>
    /// <param name="options">Which Lease, as whom, how fast.</param>
    /// <param name="time">The clock of all waiting and of the deadline.</param>
    /// <param name="log">Leadership gained and lost.</param>
    /// <param name="onLost">Called once, with the reason, after the work's token was cancelled; must end the process (set
    /// Environment.ExitCode, IHostApplicationLifetime.StopApplication). Null: Environment.Exit at once.</param>
    public LeaderElectionService(
        IKubernetes client, LeaderElectionOptions options, TimeProvider time, ILogger log, Action<string>? onLost = null)
    {
        options.EnsureValid();
        candidate = new LeaseCandidate(client, options, time, log);
        this.options = options;
        this.time = time;
        this.log = log;
        this.onLost = onLost ?? (_ => Environment.Exit(LostExitCode));
        lease = new ObjectKey(options.Namespace, options.Name);
    }

    private enum Phase
    {
        NotStarted,
        Waiting,
        Leading,
        Over,
    }

    /// <summary>True while this process holds the Lease and renewed it within the deadline, by the clock at this very call: a process
    /// that was frozen sees false when it wakes, before anything else had time to run.</summary>
    public bool IsLeader => phase == Phase.Leading && Remaining > TimeSpan.Zero;

    private TimeSpan Remaining => options.RenewDeadline - time.GetElapsedTime(candidate.RenewedAt);

    /// <summary>Throws <see cref="LeadershipLostException"/> unless <see cref="IsLeader"/>: called before each side effect.</summary>
    public void EnsureLeader()
    {
        if (!IsLeader)
        {
            throw new LeadershipLostException($"{options.Identity} does not lead {lease}");
        }
    }

    /// <summary>
    /// Waits for leadership, then runs <paramref name="lead"/> while it lasts (its token ends with leadership or with
    /// <paramref name="token"/>). On <paramref name="token"/>: waits for the work to end, then releases the Lease. On loss: calls the
    /// callback and throws <see cref="LeadershipLostException"/>. Once a process.
    /// </summary>
    public async Task RunAsync(Func<CancellationToken, Task> lead, CancellationToken token)
    {
        if (Interlocked.Exchange(ref started, 1) != 0)
        {
            throw new InvalidOperationException("an election is run once: who lost leadership does not come back");
        }

        Become(Phase.Waiting);
        try
        {
            await WaitForLeadershipAsync(token);
        }
        catch (OperationCanceledException) when (token.IsCancellationRequested)
        {
            Become(Phase.Over);
            return;
        }

        await LeadAsync(lead, token);
    }

    private async Task WaitForLeadershipAsync(CancellationToken token)
    {
        while (!await candidate.TryAcquireAsync(token))
        {
            TimeSpan pause = candidate.IsHolderGone ? options.RetryPeriod / HasteWhereHolderIsGone : options.RetryPeriod;
            await Task.Delay(pause * (1 + ((LeaderElectionOptions.Jitter - 1) * Random.Shared.NextDouble())), time, token);
        }

        Become(Phase.Leading);
        log.Leading(lease, options.Identity);
    }

    private async Task LeadAsync(Func<CancellationToken, Task> lead, CancellationToken token)
    {
        using CancellationTokenSource work = CancellationTokenSource.CreateLinkedTokenSource(token);
        using CancellationTokenSource ended = new();
        Task working = Task.Run(() => lead(work.Token), CancellationToken.None);

        // Renewed as long as the work runs, also while it comes to its end: until then nobody else may begin.
        Task<string> renewing = RenewAsync(ended.Token);
        Task grace = GraceAsync(token, ended.Token);
        Task first = await Task.WhenAny(working, renewing, grace);
        Become(Phase.Over);
        if (first == renewing)
        {
            await LoseAsync(await renewing, work, working);
        }

        await ended.CancelAsync();
        await Task.WhenAll(renewing, grace);
        if (first == renewing)
        {
            throw new LeadershipLostException($"{options.Identity} lost {lease}: {await renewing}");
        }

        if (first == grace)
        {
            log.NotReleased(lease, options.Identity, $"the work did not end within {options.ShutdownGrace}");
            return;
        }

        await candidate.ReleaseAsync();
        try
        {
            await working;
        }
        catch (OperationCanceledException) when (token.IsCancellationRequested)
        {
            // It was asked to end, and did.
        }
    }

    /// <summary>Ends with the reason when leadership is lost, or when it is told to stop.</summary>
    private async Task<string> RenewAsync(CancellationToken stop)
    {
        while (true)
        {
            TimeSpan pause = TimeSpan.FromTicks(Math.Min(options.RetryPeriod.Ticks, Math.Max(0, Remaining.Ticks)));
            try
            {
                await Task.Delay(pause, time, stop);
                if (Remaining <= TimeSpan.Zero)
                {
                    return $"not renewed within {options.RenewDeadline}";
                }

                // The bound holds whatever the transport does with the token: at the deadline the work ends.
                if (await candidate.RenewAsync(Remaining, stop).WaitAsync(Remaining, time, stop) is { } takenBy)
                {
                    return $"{takenBy} holds it";
                }
            }
            catch (TimeoutException)
            {
                // Looked at above.
            }
            catch (OperationCanceledException) when (stop.IsCancellationRequested)
            {
                return "stopped";
            }
        }
    }

    private async Task GraceAsync(CancellationToken token, CancellationToken ended)
    {
        TaskCompletionSource asked = new(TaskCreationOptions.RunContinuationsAsynchronously);
        await using CancellationTokenRegistration registration = token.Register(asked.SetResult);
        try
        {
            await asked.Task.WaitAsync(ended);
            await Task.Delay(options.ShutdownGrace, time, ended);
        }
        catch (OperationCanceledException) when (ended.IsCancellationRequested)
        {
            // The work ended first.
        }
    }

    private async Task LoseAsync(string reason, CancellationTokenSource work, Task working)
    {
        Task cancelling = work.CancelAsync();
        log.LeadershipLost(lease, options.Identity, reason);
        onLost(reason);
        await cancelling;
        try
        {
            await working.WaitAsync(options.ShutdownGrace, time, CancellationToken.None);
        }
        catch (Exception e) when (e is not OutOfMemoryException)
        {
            // However the work took it: the process ends.
            log.WorkEndedBadly(lease, e.Message);
        }
    }

    private void Become(Phase next)
    {
        phase = next;
        KubernetesMetrics.Leader.WithLabels(options.Name).Set(next == Phase.Leading ? 1 : 0);
    }
}

/// <summary>This process does not lead (any more) and must not act.</summary>
public sealed class LeadershipLostException(string message) : Exception(message);
