using k8s;
using k8s.Exceptions;
using k8s.KubeConfigModels;

namespace Colo.Cli.Cluster;

/// <summary>A cluster as a kubeconfig names it: the client, and the names that messages need. Opening it makes no call.</summary>
internal sealed class ClusterConnection : IDisposable
{
    private ClusterConnection(IKubernetes client, string server, string? context, string @namespace)
    {
        Client = client;
        Server = server;
        Context = context;
        Namespace = @namespace;
    }

    public IKubernetes Client { get; }

    /// <summary>The API server's URL.</summary>
    public string Server { get; }

    /// <summary>Null inside a pod, where there is no kubeconfig.</summary>
    public string? Context { get; }

    /// <summary>The one asked for, else the context's, else default.</summary>
    public string Namespace { get; }

    /// <exception cref="CommandException">no kubeconfig, or nothing usable in it.</exception>
    public static ClusterConnection Open(string? kubeconfig, string? context, string? @namespace, TimeSpan timeout)
    {
        try
        {
            KubernetesClientConfiguration configuration = Configuration(kubeconfig, context);
            configuration.HttpClientTimeout = timeout;
            string inContext = string.IsNullOrEmpty(configuration.Namespace) ? "default" : configuration.Namespace;
            return new ClusterConnection(new Kubernetes(configuration), configuration.Host, configuration.CurrentContext, @namespace ?? inContext);
        }
        catch (Exception e) when (e is KubeConfigException or FileNotFoundException or DirectoryNotFoundException or UnauthorizedAccessException or
            YamlDotNet.Core.YamlException or FormatException or System.Security.Cryptography.CryptographicException)
        {
            throw new CommandException(ExitCode.Usage, $"the kubeconfig cannot be used: {Sentence(e)}");
        }
    }

    private static KubernetesClientConfiguration Configuration(string? kubeconfig, string? context)
    {
        if (kubeconfig is null && Environment.GetEnvironmentVariable(KubernetesClientConfiguration.KubeConfigEnvironmentVariable) is { Length: > 0 } several)
        {
            FileInfo[] files = [.. several.Split(Path.PathSeparator, StringSplitOptions.RemoveEmptyEntries).Where(File.Exists).Select(f => new FileInfo(f))];
            if (files.Length == 0)
            {
                throw new FileNotFoundException($"no file of $KUBECONFIG ({several}) is there");
            }

            K8SConfiguration merged = KubernetesClientConfiguration.LoadKubeConfig(files);
            return KubernetesClientConfiguration.BuildConfigFromConfigObject(merged, context);
        }

        string path = kubeconfig ?? KubernetesClientConfiguration.KubeConfigDefaultLocation;
        if (!File.Exists(path))
        {
            if (kubeconfig is null && context is null && KubernetesClientConfiguration.IsInCluster())
            {
                return KubernetesClientConfiguration.InClusterConfig();
            }

            throw new FileNotFoundException($"there is no {path}; give one with --kubeconfig or $KUBECONFIG");
        }

        return KubernetesClientConfiguration.BuildConfigFromConfigFile(path, context);
    }

    private static string Sentence(Exception e) =>
        e.InnerException is { } inner && inner is not FormatException ? $"{e.Message}: {inner.Message}" : e.Message;

    public void Dispose() => Client.Dispose();
}
