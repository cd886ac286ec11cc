using k8s.Models;

namespace Colo.Operator.Agents;

/// <summary>
/// What an agent's Lease says: which node, where its gRPC listener is. The Lease is discovery and heartbeat at once; its times are never
/// compared with this machine's clock, only that it changed is a sign of life.
/// </summary>
/// <param name="Renewal">Opaque; another value than before is one more sign of life.</param>
/// <param name="IsStopping">The agent was told to end, in order: a restart or an upgrade.</param>
public sealed record AgentLease(string Node, string GrpcAddress, string Version, string Renewal, bool IsStopping = false)
{
    public const string Label = "app.kubernetes.io/component=agent";
    public const string GrpcAnnotation = "colo.dev/grpc-address";
    public const string VersionAnnotation = "colo.dev/version";
    public const string StoppingAnnotation = "colo.dev/agent-stopping";

    /// <summary>Null: not an agent's, or not complete yet.</summary>
    public static AgentLease? Read(V1ObjectMeta metadata, V1LeaseSpec? spec)
    {
        string? node = spec?.HolderIdentity;
        string? address = metadata.Annotations?.TryGetValue(GrpcAnnotation, out string? at) == true ? at : null;
        string version = metadata.Annotations?.TryGetValue(VersionAnnotation, out string? says) == true ? says : "";
        return string.IsNullOrEmpty(node) || string.IsNullOrEmpty(address)
            ? null
            : new(node, address, version, $"{spec!.RenewTime?.Ticks}/{spec.LeaseTransitions}", metadata.Annotations!.ContainsKey(StoppingAnnotation));
    }
}
