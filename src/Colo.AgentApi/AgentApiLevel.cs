namespace Colo.AgentApi;

/// <summary>Versions of the agents' interface, as NodeStatus.api_level says them. A newer control plane drives older agents, not the other way round.</summary>
public static class AgentApiLevel
{
    /// <summary>2: heartbeats in Watch, records in Kubernetes.</summary>
    public const int Current = 2;
}
