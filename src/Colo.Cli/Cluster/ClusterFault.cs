using System.Net;
using System.Net.Sockets;
using System.Security.Authentication;
using System.Text.Json;
using System.Text.Json.Nodes;
using Colo.Api;
using k8s;
using k8s.Autorest;
using k8s.Exceptions;

namespace Colo.Cli.Cluster;

/// <summary>Says in one sentence why the cluster did not do what it was asked, and with which exit code that ends.</summary>
internal static class ClusterFault
{
    /// <returns>Null: it is no failure of the cluster (a fault of our own, or the person pressed Ctrl-C).</returns>
    public static CommandException? Explain(Exception e, ClusterConnection cluster, CancellationToken token) => e switch
    {
        HttpOperationException http => OfAnswer(http.Response.StatusCode, http.Response.Content, cluster),
        KubernetesException refused => new CommandException(ExitCode.Failed, refused.Status?.Message ?? refused.Message),
        OperationCanceledException or TimeoutException when !token.IsCancellationRequested =>
            new CommandException(ExitCode.NotRunning, $"{Where(cluster)} did not answer in time"),
        HttpRequestException or IOException or SocketException or AuthenticationException =>
            new CommandException(ExitCode.NotRunning, $"{Where(cluster)} cannot be reached: {Innermost(e)}"),
        KubeConfigException or KubernetesClientException =>
            new CommandException(ExitCode.Failed, $"no credentials for {Where(cluster)}: {Innermost(e)}"),
        JsonException => new CommandException(ExitCode.Failed, $"{Where(cluster)} answered something that is no Kubernetes object: {e.Message}"),
        _ => null,
    };

    /// <summary>The object is not there, though its kind is: the server says so in a Status that names the object.</summary>
    public static bool IsNotFound(HttpOperationException e) =>
        e.Response.StatusCode == HttpStatusCode.NotFound && Status(e.Response.Content)?["details"]?["name"] is not null;

    private static CommandException OfAnswer(HttpStatusCode code, string? content, ClusterConnection cluster)
    {
        string message = Status(content)?["message"]?.GetValue<string>() ?? content?.Trim() ?? "";
        return code switch
        {
            HttpStatusCode.Forbidden => new CommandException(ExitCode.Failed, $"no access: {AfterForbidden(message)}"),
            HttpStatusCode.Unauthorized => new CommandException(ExitCode.Failed,
                $"{Where(cluster)} does not accept the credentials{(cluster.Context is null ? "" : $" of context '{cluster.Context}'")}"),
            HttpStatusCode.NotFound => new CommandException(ExitCode.NotRunning,
                $"this cluster knows no {ReplicatedVolume.KindName} ({VolumeClient.Plural}.{ReplicatedVolume.GroupVersion}): install the chart colo-operator, or its crds/"),
            HttpStatusCode.Conflict => new CommandException(ExitCode.Failed, $"it was changed or made anew at this moment: {message}"),
            _ => new CommandException(ExitCode.Failed, $"{Where(cluster)} answered {(int)code}: {message}"),
        };
    }

    /// <summary>The server's words name user, verb, resource and namespace, behind a repetition of the resource.</summary>
    private static string AfterForbidden(string message)
    {
        const string marker = "is forbidden: ";
        int at = message.IndexOf(marker, StringComparison.Ordinal);
        return at < 0 ? message : message[(at + marker.Length)..];
    }

    private static JsonObject? Status(string? content)
    {
        try
        {
            return string.IsNullOrEmpty(content) ? null : JsonNode.Parse(content) as JsonObject;
        }
        catch (JsonException)
        {
            return null;
        }
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
