using k8s.Models;

namespace Colo.Kubernetes;

/// <summary>What is said of which object. Two of the same are one Event that happened twice; the time is not part of it.</summary>
internal sealed class EventKey : IEquatable<EventKey>
{
    /// <summary>What the API allows.</summary>
    private const int MaxMessage = 1024;

    private EventKey(V1ObjectReference involved, EventType type, string reason, string message, DateTimeOffset at)
    {
        Involved = involved;
        Type = type;
        Reason = reason;
        Message = message;
        At = at;
    }

    public V1ObjectReference Involved { get; }

    public EventType Type { get; }

    public string Reason { get; }

    public string Message { get; }

    public DateTimeOffset At { get; }

    public ObjectKey About => new(Involved.NamespaceProperty ?? string.Empty, Involved.Name);

    /// <summary>Events live in their object's namespace; those about cluster-wide objects in default.</summary>
    public string Namespace => string.IsNullOrEmpty(Involved.NamespaceProperty) ? "default" : Involved.NamespaceProperty;

    public static EventKey Of(V1ObjectReference about, EventType type, string reason, string message, DateTimeOffset at) =>
        new(about, type, reason, message.Length > MaxMessage ? message[..(MaxMessage - 1)] + "…" : message, at);

    public bool Equals(EventKey? other) =>
        other is not null && About == other.About && Involved.Uid == other.Involved.Uid && Involved.Kind == other.Involved.Kind
        && Type == other.Type && Reason == other.Reason && Message == other.Message;

    public override bool Equals(object? obj) => Equals(obj as EventKey);

    public override int GetHashCode() => HashCode.Combine(About, Involved.Uid, Type, Reason, Message);
}
