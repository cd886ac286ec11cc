namespace Colo.Kubernetes;

/// <summary>How a controller works its queue off.</summary>
public sealed record ControllerOptions
{
    /// <summary>Label of its metrics and logs.</summary>
    public required string Name { get; init; }

    /// <summary>Objects worked on at the same time.</summary>
    public int Workers { get; init; } = 4;

    /// <summary>A reconcile that takes longer is cancelled and counts as failed: one that hangs would hold its object for ever.</summary>
    public TimeSpan ReconcileTimeout { get; init; } = TimeSpan.FromMinutes(5);
}
