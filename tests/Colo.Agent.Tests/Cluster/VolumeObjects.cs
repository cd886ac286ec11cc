using System.Text.Json.Nodes;
using Colo.AgentApi;
using Colo.Testing.Kube;
using k8s;

namespace Colo.Agent.Tests.Cluster;

/// <summary>ReplicatedVolumes on a real API server, as a person (kubectl) and as a program (a client) see them.</summary>
internal static class VolumeObjects
{
    /// <summary>The part of the type that the record lives on; what else a volume is, nobody here looks at.</summary>
    private const string Definition =
        """
        apiVersion: apiextensions.k8s.io/v1
        kind: CustomResourceDefinition
        metadata: {name: replicatedvolumes.colo.dev}
        spec:
          group: colo.dev
          scope: Namespaced
          names: {kind: ReplicatedVolume, plural: replicatedvolumes, singular: replicatedvolume}
          versions:
          - name: v1alpha1
            served: true
            storage: true
            subresources: {status: {}}
            schema:
              openAPIV3Schema:
                type: object
                properties:
                  spec: {type: object, x-kubernetes-preserve-unknown-fields: true}
                  status: {type: object, x-kubernetes-preserve-unknown-fields: true}
        """;

    public static async Task DefineAsync(Kubectl kubectl)
    {
        (await kubectl.RunWithInputAsync(Definition, "apply", "-f", "-")).EnsureSuccess();
        await kubectl.OutputAsync("wait", "--for=condition=Established", "crd/replicatedvolumes.colo.dev", "--timeout=60s");
    }

    /// <returns>Its uid.</returns>
    public static async Task<string> CreateAsync(Kubectl kubectl, string @namespace, string name)
    {
        string manifest =
            $$"""
            apiVersion: colo.dev/v1alpha1
            kind: ReplicatedVolume
            metadata: {name: {{name}}, namespace: {{@namespace}}}
            spec: {size: 16Mi}
            """;
        (await kubectl.RunWithInputAsync(manifest, "create", "-f", "-")).EnsureSuccess();
        return (string)(await GetAsync(kubectl, @namespace, name))["metadata"]!["uid"]!;
    }

    public static Task<JsonNode> GetAsync(Kubectl kubectl, string @namespace, string name) =>
        kubectl.JsonAsync("get", "replicatedvolume", "-n", @namespace, name);

    public static k8s.Kubernetes Client(string kubeconfig, DelegatingHandler? observer = null, Uri? through = null)
    {
        KubernetesClientConfiguration configuration = KubernetesClientConfiguration.BuildConfigFromConfigFile(kubeconfig);
        configuration.DisableHttp2 = true;
        configuration.Host = through?.ToString() ?? configuration.Host;
        return observer is null ? new(configuration) : new(configuration, observer);
    }

    public static VolumeRecordObject Store(IKubernetes client, string @namespace, string name, string uid) =>
        new(client, @namespace, name, uid, new() { RequestTimeout = TimeSpan.FromSeconds(2) });
}
