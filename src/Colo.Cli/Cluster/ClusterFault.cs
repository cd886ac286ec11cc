using Colo.Api;
using Colo.Kubernetes;
using k8s.Exceptions;

namespace Colo.Cli.Cluster;

/// <summary>Says in one sentence why the cluster did not do what it was asked, and with which exit code that ends.</summary>
internal static class ClusterFault
{
    /// <exception cref="CommandException">instead of whatever the cluster answered, or did not.</exception>
    public static async Task<T> ExplainedAsync<T>(ClusterConnection cluster, Func<Task<T>> call)
    {
        try
        {
            return await call();
        }
        catch (ApiException e)
        {
            throw Explain(e, cluster);
        }
        catch (Exception e) when (e is KubeConfigException or KubernetesClientException)
        {
            throw new CommandException(ExitCode.Failed, $"no credentials for {Where(cluster)}: {Innermost(e)}");
        }
    }

    internal static CommandException Explain(ApiException e, ClusterConnection cluster) => e.Kind switch
    {
        ApiErrorKind.Unreachable when e.InnerException is OperationCanceledException =>
            new CommandException(ExitCode.NotRunning, $"{Where(cluster)} did not answer within {new Duration(cluster.Timeout)}"),
        ApiErrorKind.Unreachable => new CommandException(ExitCode.NotRunning, $"{Where(cluster)} cannot be reached: {Innermost(e)}"),
        ApiErrorKind.Forbidden => new CommandException(ExitCode.Failed, $"no access: {AfterForbidden(e.Message)}"),
        ApiErrorKind.Unauthorized => new CommandException(ExitCode.Failed,
            $"{Where(cluster)} does not accept the credentials{(cluster.Context is null ? "" : $" of context '{cluster.Context}'")}"),
        ApiErrorKind.NotFound => new CommandException(ExitCode.NotRunning,
            $"{Where(cluster)} knows no {ReplicatedVolume.KindName} ({VolumeClient.Plural}.{ReplicatedVolume.Group}/{ReplicatedVolume.Version}): install the chart colo-operator, or its crds/"),
        ApiErrorKind.Conflict => new CommandException(ExitCode.Failed, $"it was changed or made anew at this moment: {e.Message}"),
        _ => new CommandException(ExitCode.Failed, $"{Where(cluster)} refused: {e.Message}"),
    };

    /// <summary>The server's words name user, verb, resource and namespace, behind a repetition of the resource.</summary>
    private static string AfterForbidden(string message)
    {
        const string marker = "is forbidden: ";
        int at = message.IndexOf(marker, StringComparison.Ordinal);
        return at < 0 ? message : message[(at + marker.Length)..];
    }

    private static string Where(ClusterConnection cluster) =>
        cluster.Context is null ? $"the cluster at {cluster.Server}" : $"the cluster at {cluster.Server} (context '{cluster.Context}')";

    private static string Innermost(Exception e)
    {
        while (e.InnerException is { } inner)
        {
            e = inner;
        }

        return e.Message;
    }
}
