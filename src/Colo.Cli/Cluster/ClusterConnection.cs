using Colo.Kubernetes;
using k8s;
using k8s.Exceptions;

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
            KubernetesClientConfiguration configuration = KubernetesConnection.FindConfiguration(kubeconfig, context);
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

    private static string Sentence(Exception e) =>
        e.InnerException is { } inner && inner is not FormatException ? $"{e.Message}: {inner.Message}" : e.Message;

    public void Dispose() => Client.Dispose();
}
