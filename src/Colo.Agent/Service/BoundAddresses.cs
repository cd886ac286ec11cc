namespace Colo.Agent.Service;

/// <summary>Where this agent's NBD listeners really listen (port 0 asks for any free one); set once when they are bound.</summary>
public sealed class BoundAddresses
{
    /// <summary>host:port as a peer should dial it.</summary>
    public string Replication { get; set; } = "";

    /// <summary>host:port; empty where guests have unix sockets only.</summary>
    public string Guest { get; set; } = "";
}
