using Colo.AgentApi;

namespace Colo.Operator.Agents;

/// <summary>A node that has an agent, as placement and metrics see it.</summary>
/// <param name="Status">As it last described itself; null: never heard.</param>
/// <param name="Fault">Why it does not answer; null: it does, or simply is silent.</param>
public sealed record AgentNode(string Name, bool Answers, NodeStatus? Status, string? Fault);
