using Colo.Testing.Kube;
using k8s;
using k8s.Models;

[assembly: AssemblyFixture(typeof(KubeApiServerFixture))]

namespace Colo.Kubernetes.Tests.Kit;

/// <summary>Clients of a test's API server, and the objects that tests make there.</summary>
internal static class Cluster
{
    public static k8s.Kubernetes Connect(KubeApiServer server, Uri? through = null)
    {
        KubernetesClientConfiguration configuration = KubernetesConnection.FindConfiguration(server.AdminKubeconfig);
        configuration.Host = through?.ToString() ?? configuration.Host;
        return KubernetesConnection.Open(configuration);
    }

    public static JsonObject ConfigMap(string name, string value = "1", string? label = null)
    {
        JsonObject metadata = new() { ["name"] = name };
        if (label is not null)
        {
            metadata["labels"] = new JsonObject { ["group"] = label };
        }

        return new JsonObject
        {
            ["apiVersion"] = "v1",
            ["kind"] = "ConfigMap",
            ["metadata"] = metadata,
            ["data"] = new JsonObject { ["value"] = value },
        };
    }

    public static JsonObject ValuePatch(string value) => new() { ["data"] = new JsonObject { ["value"] = value } };

    public static ResourceClient<V1ConfigMap> ConfigMaps(IKubernetes client) => new(client, ResourceTypes.ConfigMaps);
}
