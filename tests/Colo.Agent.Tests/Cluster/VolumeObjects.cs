using System.Text.Json.Nodes;
using Colo.AgentApi;
using Colo.Testing.Kube;
using Colo.Testing.Local;
using k8s;

namespace Colo.Agent.Tests.Cluster;

/// <summary>ReplicatedVolumes on a real API server, as a person (kubectl) and as a program (a client) see them.</summary>
internal static class VolumeObjects
{
    /// <summary>The type as it is shipped.</summary>
    public static async Task DefineAsync(Kubectl kubectl)
    {
        await kubectl.OutputAsync(
            "apply", "--validate=false", "-f", Path.Combine(Built.Repository, "crds", "colo.dev_replicatedvolumes.yaml"));
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
