using k8s;
using k8s.Models;
using Microsoft.Extensions.Logging;

namespace Colo.Kubernetes;

/// <summary>The two types that core/v1 Events know.</summary>
public enum EventType
{
    Normal,
    Warning,
}

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

/// <summary>
/// Tells people, by core/v1 Events on the object concerned. What is said again raises the count of the Event that is there; what is said
/// too often is dropped. <see cref="Record"/> neither waits nor throws: no reconcile fails for an Event.
/// </summary>
public sealed class EventRecorder
{
    public EventRecorder(IKubernetes client, EventRecorderOptions options, TimeProvider time, ILogger log) =>
        throw new NotImplementedException();

    public void Record(V1ObjectReference about, EventType type, string reason, string message) => throw new NotImplementedException();

    /// <summary>Sends what is recorded until cancelled, then once more what still waits, for a bounded time.</summary>
    public Task RunAsync(CancellationToken token) => throw new NotImplementedException();
}
