using Colo.Kubernetes;
using k8s;
using k8s.Exceptions;
using k8s.KubeConfigModels;

namespace Colo.Cli.Cluster;

/// <summary>A cluster as a kubeconfig names it: the client, and the names that messages need. Opening it makes no call.</summary>
internal sealed class ClusterConnection : IDisposable
{
    private ClusterConnection(IKubernetes client, string server, string? context, string @namespace, TimeSpan timeout)
    {
        Timeout = timeout;
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

    /// <summary>Bound of each call.</summary>
    public TimeSpan Timeout { get; }

    /// <exception cref="CommandException">no kubeconfig, or nothing usable in it.</exception>
    public static ClusterConnection Open(string? kubeconfig, string? context, string? @namespace, TimeSpan timeout)
    {
        try
        {
            KubernetesClientConfiguration configuration = Configuration(kubeconfig, context);
            string inContext = string.IsNullOrEmpty(configuration.Namespace) ? "default" : configuration.Namespace;
            return new ClusterConnection(
                KubernetesConnection.Open(configuration), configuration.Host, configuration.CurrentContext, @namespace ?? inContext, timeout);
        }
        catch (Exception e) when (e is KubeConfigException or FileNotFoundException or DirectoryNotFoundException or UnauthorizedAccessException or
            YamlDotNet.Core.YamlException or FormatException or System.Security.Cryptography.CryptographicException)
        {
            throw new CommandException(ExitCode.Usage, $"the kubeconfig cannot be used: {Sentence(e)}");
        }
    }

    /// <summary>As kubectl looks for it: what is named, $KUBECONFIG (several files are one), ~/.kube/config, and the pod's service account last.</summary>
    private static KubernetesClientConfiguration Configuration(string? kubeconfig, string? context)
    {
        string? several = Environment.GetEnvironmentVariable("KUBECONFIG");
        if (kubeconfig is null && !string.IsNullOrEmpty(several))
        {
            FileInfo[] files = [.. several.Split(Path.PathSeparator, StringSplitOptions.RemoveEmptyEntries).Where(File.Exists).Select(f => new FileInfo(f))];
            return files.Length == 0
                ? throw new FileNotFoundException($"$KUBECONFIG names {several}, and nothing is there")
                : files.Length == 1
                    ? KubernetesClientConfiguration.BuildConfigFromConfigFile(files[0], context)
                    : KubernetesClientConfiguration.BuildConfigFromConfigObject(Merged(files), context);
        }

        string path = kubeconfig ?? KubernetesClientConfiguration.KubeConfigDefaultLocation;
        if (File.Exists(path))
        {
            return KubernetesClientConfiguration.BuildConfigFromConfigFile(path, context);
        }

        return kubeconfig is null && context is null && KubernetesClientConfiguration.IsInCluster()
            ? KubernetesClientConfiguration.InClusterConfig()
            : throw new FileNotFoundException($"there is no {path}; give one with --kubeconfig or $KUBECONFIG");
    }

    /// <summary>The first to name a cluster, user or context says what it is.</summary>
    private static K8SConfiguration Merged(FileInfo[] files)
    {
        K8SConfiguration[] each = [.. files.Select(f => KubernetesClientConfiguration.LoadKubeConfig(f))];
        return new K8SConfiguration
        {
            CurrentContext = each.Select(c => c.CurrentContext).FirstOrDefault(c => !string.IsNullOrEmpty(c)),
            Clusters = [.. each.SelectMany(c => c.Clusters ?? []).DistinctBy(c => c.Name, StringComparer.Ordinal)],
            Contexts = [.. each.SelectMany(c => c.Contexts ?? []).DistinctBy(c => c.Name, StringComparer.Ordinal)],
            Users = [.. each.SelectMany(c => c.Users ?? []).DistinctBy(u => u.Name, StringComparer.Ordinal)],
        };
    }

    private static string Sentence(Exception e) =>
        e.InnerException is { } inner && inner is not FormatException ? $"{e.Message}: {inner.Message}" : e.Message;

    public void Dispose() => Client.Dispose();
}
