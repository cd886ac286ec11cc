namespace Colo.Driver;

/// <summary>How a feed keeps up with its agents.</summary>
public sealed record AgentFeedOptions
{
    /// <summary>Null: plain text.</summary>
    public AgentTls? Tls { get; init; }

    /// <summary>A stream that says nothing for this long is not answering. An agent says something every second, also a busy one nearly so;
    /// no failure of a process that hangs is found sooner than this.</summary>
    public TimeSpan QuietBound { get; init; } = TimeSpan.FromSeconds(2.5);

    /// <summary>Of an agent that sends no heartbeats (of an older version), or has no stream left.</summary>
    public TimeSpan PollInterval { get; init; } = TimeSpan.FromSeconds(1);

    public TimeSpan AnswerBound { get; init; } = TimeSpan.FromSeconds(1);

    public TimeSpan FirstReconnect { get; init; } = TimeSpan.FromMilliseconds(100);

    public TimeSpan LongestReconnect { get; init; } = TimeSpan.FromSeconds(2);
}

/// <summary>Something changed at a node.</summary>
/// <param name="Uid">The volume; null: the node itself came, fell silent, moved, or its pools changed.</param>
public readonly record struct AgentChange(string Node, string? Uid);
