using Colo.Agent.Options;
using k8s;
using k8s.Exceptions;

namespace Colo.Agent.Cluster;

/// <summary>The way to the Kubernetes API, where this agent lives in a cluster: one client for the record of every volume and for the
/// node's Lease. Owns the client.</summary>
public sealed class ClusterAccess : IDisposable
{
    private const string NamespaceFile = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";

    private readonly k8s.Kubernetes? client;

    private ClusterAccess(k8s.Kubernetes? client, string @namespace, TimeSpan requestTimeout) =>
        (this.client, Namespace, RequestTimeout) = (client, @namespace, requestTimeout);

    public bool IsEnabled => client is not null;

    public IKubernetes Client => client ?? throw new InvalidOperationException("this agent has no Kubernetes API");

    /// <summary>Where this agent's own objects lie; volumes are in any.</summary>
    public string Namespace { get; }

    public TimeSpan RequestTimeout { get; }

    /// <exception cref="ArgumentException">Kubernetes is wanted, and what is said of it cannot be used.</exception>
    public static ClusterAccess Open(AgentOptions options)
    {
        TimeSpan timeout = TimeSpan.FromMilliseconds(options.Limits.KubernetesTimeoutMilliseconds);
        bool isWanted = options.Kubernetes == "true"
            || (options.Kubernetes == "auto" && (options.Kubeconfig.Length > 0 || KubernetesClientConfiguration.IsInCluster()));
        if (!isWanted)
        {
            return new(null, "", timeout);
        }

        try
        {
            KubernetesClientConfiguration configuration = options.Kubeconfig.Length > 0
                ? KubernetesClientConfiguration.BuildConfigFromConfigFile(options.Kubeconfig)
                : KubernetesClientConfiguration.InClusterConfig();

            // One connection for everything (HTTP/2) would make everything wait for the death of that one to be noticed; without it, a
            // request that ran out of time takes its connection along and the next one dials anew.
            configuration.DisableHttp2 = true;
            configuration.HttpClientTimeout = timeout;
            string @namespace = options.KubernetesNamespace.Length > 0 ? options.KubernetesNamespace
                : options.Kubeconfig.Length == 0 && File.Exists(NamespaceFile) ? File.ReadAllText(NamespaceFile).Trim()
                : configuration.Namespace is { Length: > 0 } own ? own
                : "default";
            return new(new(configuration), @namespace, timeout);
        }
        catch (Exception e) when (e is KubeConfigException or KubernetesClientException or InvalidOperationException or FormatException
            or System.Security.Cryptography.CryptographicException or YamlDotNet.Core.YamlException)
        {
            throw new ArgumentException(
                $"Kubernetes (--kubernetes, --kubeconfig): {(options.Kubeconfig.Length > 0 ? options.Kubeconfig : "no service account")}: {e.Message}", e);
        }
    }

    public void Dispose() => client?.Dispose();
}
