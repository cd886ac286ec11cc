namespace Colo.Kubernetes;

/// <summary>The Lease that candidates contend for, and the times of it: retry &lt; renew deadline &lt; lease duration.</summary>
public sealed record LeaderElectionOptions
{
    /// <summary>A candidate looks at the Lease after each <see cref="RetryPeriod"/> times 1 to this, so that candidates do not look together.</summary>
    public const double Jitter = 1.2;

    public required string Namespace { get; init; }

    /// <summary>Name of the Lease.</summary>
    public required string Name { get; init; }

    /// <summary>Unique among all that may live at the same time, as a pod's name is: who finds its own there died holding the Lease, was started
    /// again, and takes it at once.</summary>
    public required string Identity { get; init; }

    /// <summary>Others take over after they saw the Lease unchanged for so long.</summary>
    public TimeSpan LeaseDuration { get; init; } = TimeSpan.FromSeconds(15);

    /// <summary>A leader that could not renew for so long ceases to be one.</summary>
    public TimeSpan RenewDeadline { get; init; } = TimeSpan.FromSeconds(10);

    public TimeSpan RetryPeriod { get; init; } = TimeSpan.FromSeconds(2);

    /// <summary>What a graceful shutdown waits for the work to end before it lets go of nothing and leaves the Lease to expire.</summary>
    public TimeSpan ShutdownGrace { get; init; } = TimeSpan.FromSeconds(20);

    /// <summary>
    /// Whether a holder that let its Lease be for so long is known by other evidence to have died, such as its machine's silence. Its Lease is
    /// then taken after a third of the duration. Only for work that two may do at once without harm: such a holder may live all the same, and
    /// ceases to lead at its own deadline.
    /// </summary>
    public Func<string, TimeSpan, bool> IsHolderGone { get; init; } = static (_, _) => false;

    internal void EnsureValid()
    {
        ArgumentException.ThrowIfNullOrEmpty(Namespace);
        ArgumentException.ThrowIfNullOrEmpty(Name);
        ArgumentException.ThrowIfNullOrEmpty(Identity);
        if (RetryPeriod <= TimeSpan.Zero || RenewDeadline <= RetryPeriod || LeaseDuration <= RenewDeadline)
        {
            throw new ArgumentException(
                $"leader election: 0 < RetryPeriod ({RetryPeriod}) < RenewDeadline ({RenewDeadline}) < LeaseDuration ({LeaseDuration}) must hold");
        }
    }
}
