using System.Text.Json;
using k8s.Models;

namespace Colo.Kubernetes;

/// <summary>
/// Where objects of <typeparamref name="T"/> live in the API. <paramref name="Group"/> is empty for the core group.
/// <paramref name="Json"/> reads and writes <typeparamref name="T"/>; null: as the Kubernetes client does (camel case, nulls left out).
/// </summary>
public sealed record ResourceType<T>(string Group, string Version, string Plural, JsonSerializerOptions? Json = null)
{
    /// <summary>The singular name that Events and owner references use, e.g. ReplicatedVolume.</summary>
    public string? Kind { get; init; }

    public string ApiVersion => Group.Length == 0 ? Version : $"{Group}/{Version}";

    internal JsonSerializerOptions JsonOptions => Json ?? ObjectJson.Options;

    /// <summary>What an Event about <paramref name="resource"/> points at.</summary>
    public V1ObjectReference ReferenceTo(Resource<T> resource) => new()
    {
        ApiVersion = ApiVersion,
        Kind = Kind ?? throw new InvalidOperationException($"the resource type {Plural} has no Kind"),
        Name = resource.Metadata.Name,
        NamespaceProperty = resource.Metadata.NamespaceProperty,
        Uid = resource.Metadata.Uid,
        ResourceVersion = resource.Metadata.ResourceVersion,
    };

    /// <summary>Path of the collection; of all namespaces where <paramref name="inNamespace"/> is null or empty.</summary>
    internal string CollectionPath(string? inNamespace)
    {
        string root = Group.Length == 0 ? $"api/{Version}" : $"apis/{Group}/{Version}";
        return string.IsNullOrEmpty(inNamespace) ? $"{root}/{Plural}" : $"{root}/namespaces/{Uri.EscapeDataString(inNamespace)}/{Plural}";
    }

    internal string ObjectPath(ObjectKey key, string? subresource = null)
    {
        ArgumentException.ThrowIfNullOrEmpty(key.Name);
        string path = $"{CollectionPath(key.Namespace)}/{Uri.EscapeDataString(key.Name)}";
        return subresource is null ? path : $"{path}/{subresource}";
    }
}

/// <summary>The built-in types that this system reads or writes.</summary>
public static class ResourceTypes
{
    public static ResourceType<V1Node> Nodes { get; } = Core<V1Node>("nodes", "Node");

    public static ResourceType<V1Pod> Pods { get; } = Core<V1Pod>("pods", "Pod");

    public static ResourceType<V1Namespace> Namespaces { get; } = Core<V1Namespace>("namespaces", "Namespace");

    public static ResourceType<V1Secret> Secrets { get; } = Core<V1Secret>("secrets", "Secret");

    public static ResourceType<V1ConfigMap> ConfigMaps { get; } = Core<V1ConfigMap>("configmaps", "ConfigMap");

    public static ResourceType<V1PersistentVolumeClaim> PersistentVolumeClaims { get; } =
        Core<V1PersistentVolumeClaim>("persistentvolumeclaims", "PersistentVolumeClaim");

    public static ResourceType<Corev1Event> Events { get; } = Core<Corev1Event>("events", "Event");

    public static ResourceType<V1Lease> Leases { get; } = new("coordination.k8s.io", "v1", "leases") { Kind = "Lease" };

    public static ResourceType<V1DaemonSet> DaemonSets { get; } = new("apps", "v1", "daemonsets") { Kind = "DaemonSet" };

    public static ResourceType<V1Deployment> Deployments { get; } = new("apps", "v1", "deployments") { Kind = "Deployment" };

    public static ResourceType<V1CertificateSigningRequest> CertificateSigningRequests { get; } =
        new("certificates.k8s.io", "v1", "certificatesigningrequests") { Kind = "CertificateSigningRequest" };

    public static ResourceType<V1CustomResourceDefinition> CustomResourceDefinitions { get; } =
        new("apiextensions.k8s.io", "v1", "customresourcedefinitions") { Kind = "CustomResourceDefinition" };

    private static ResourceType<T> Core<T>(string plural, string kind) => new(string.Empty, "v1", plural) { Kind = kind };
}
