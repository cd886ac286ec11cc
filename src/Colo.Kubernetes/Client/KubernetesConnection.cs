using k8s;

namespace Colo.Kubernetes;

/// <summary>
/// Makes the client that all of a process shares: one that counts its requests (rest_client_requests_total) and notices a dead connection
/// in seconds rather than minutes, so that a request after a partition is not sent into the same silence.
/// </summary>
public static class KubernetesConnection
{
    /// <summary>The kubeconfig named; else, inside a pod, its service account (token re-read as it rotates); else $KUBECONFIG, else
    /// ~/.kube/config.</summary>
    public static KubernetesClientConfiguration FindConfiguration(string? kubeconfig = null, string? context = null)
    {
        if (kubeconfig is null && context is null && KubernetesClientConfiguration.IsInCluster())
        {
            return KubernetesClientConfiguration.InClusterConfig();
        }

        return KubernetesClientConfiguration.BuildConfigFromConfigFile(kubeconfig, context);
    }

    public static k8s.Kubernetes Open(KubernetesClientConfiguration configuration, params DelegatingHandler[] handlers) =>
        new(configuration, [new RestClientHandler(), .. handlers]);
}
