namespace Colo.Kubernetes;

/// <summary>The two types that core/v1 Events know.</summary>
public enum EventType
{
    Normal,
    Warning,
}

/// <summary>Who speaks, and how much at most.</summary>
public sealed record EventRecorderOptions
{
    /// <summary>source.component and reportingComponent.</summary>
    public required string Component { get; init; }

    /// <summary>source.host and reportingInstance: pod or node.</summary>
    public string Instance { get; init; } = string.Empty;

    /// <summary>Events about one object at once, before the rate counts.</summary>
    public int Burst { get; init; } = 25;

    /// <summary>One more Event about that object after each of these.</summary>
    public TimeSpan RefillInterval { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>Events that wait to be sent; the oldest are dropped.</summary>
    public int QueueLength { get; init; } = 1024;
}
