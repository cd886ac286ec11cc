using Colo.AgentApi;

namespace Colo.Driver;

/// <summary>Where agents find the record of a volume: a directory that all processes of one machine see, or the Kubernetes API.</summary>
public sealed record ArbiterPlace
{
    private readonly string directory;
    private readonly bool kubernetes;

    private ArbiterPlace(string directory, bool kubernetes) => (this.directory, this.kubernetes) = (directory, kubernetes);

    public static ArbiterPlace Kubernetes { get; } = new("", true);

    public static ArbiterPlace InDirectory(string directory) => new(directory, false);

    internal Arbiter ToAgent() => new() { Directory = directory, Kubernetes = kubernetes };
}

/// <summary>What is the same for each volume that one control plane drives.</summary>
public sealed record DriverOptions
{
    public required ArbiterPlace Arbiter { get; init; }

    /// <summary>Serve the guest's disk on the agent's TCP listener as well.</summary>
    public bool GuestTcp { get; init; }

    /// <summary>An agent that hangs is noticed by its silence long before; this bounds a call to one that only is slow.</summary>
    public TimeSpan CallBound { get; init; } = TimeSpan.FromSeconds(120);

    /// <summary>For how long a node must have been silent before a deletion goes on without it; null: it waits for ever.</summary>
    public TimeSpan? DeadNodeGrace { get; init; }
}
