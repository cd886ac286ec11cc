using k8s.Models;

namespace Colo.Kubernetes;

/// <summary>Which object of a type: what queues and reconcilers pass around, never the object itself. A cluster-wide object has an
/// empty namespace.</summary>
public readonly record struct ObjectKey(string Namespace, string Name)
{
    public static ObjectKey Of(V1ObjectMeta metadata) => new(metadata.NamespaceProperty ?? string.Empty, metadata.Name);

    /// <summary>As kubectl prints it: namespace/name, or the name alone.</summary>
    public override string ToString() => string.IsNullOrEmpty(Namespace) ? Name : $"{Namespace}/{Name}";
}
