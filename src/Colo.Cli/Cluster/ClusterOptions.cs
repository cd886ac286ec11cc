using System.CommandLine;
using Colo.Api;

namespace Colo.Cli.Cluster;

/// <summary>
/// What every command on a cluster takes. The same options hang on the root as well, so that `kubectl colo -n vms status` works like
/// `kubectl colo status -n vms`.
/// </summary>
internal static class ClusterOptions
{
    /// <summary>Reading takes milliseconds; a server that is silent for so long will not answer.</summary>
    public static readonly TimeSpan ReadTimeout = TimeSpan.FromSeconds(30);

    /// <summary>A switchover waits for the secondary to be in sync and for writes under way.</summary>
    public static readonly TimeSpan RequestTimeout = TimeSpan.FromSeconds(60);

    public static readonly Option<string?> Kubeconfig = new("--kubeconfig")
    {
        Description = "The kubeconfig file; $KUBECONFIG, then ~/.kube/config where left out",
        HelpName = "FILE",
    };

    public static readonly Option<string?> Context = new("--context")
    {
        Description = "The context of the kubeconfig; its current one where left out",
        HelpName = "NAME",
    };

    public static readonly Option<string?> Namespace = new("--namespace", "-n")
    {
        Description = "The namespace; the context's where left out",
        HelpName = "NS",
    };

    public static readonly Option<Duration?> Timeout = new("--timeout")
    {
        Description = "How long to wait: for the outcome of a request (60s where left out), for an answer of the cluster (30s)",
        HelpName = "30s",
        CustomParser = result =>
        {
            string text = result.Tokens.Count == 1 ? result.Tokens[0].Value : "";
            if (Duration.TryParse(text, out Duration duration))
            {
                return duration;
            }

            result.AddError($"--timeout: '{text}' is not a duration: {Duration.Allowed}");
            return null;
        },
    };

    public static readonly Option<bool> AllNamespaces = new("--all-namespaces", "-A") { Description = "The volumes of all namespaces" };

    public static IReadOnlyList<Option> Everywhere { get; } = [Kubeconfig, Context, Namespace, Timeout];

    public static Command OnCluster(this Command command)
    {
        foreach (Option option in Everywhere)
        {
            command.Options.Add(option);
        }

        if (command.Options.Contains(AllNamespaces))
        {
            command.Validators.Add(result =>
            {
                if (result.GetValue(AllNamespaces) && result.GetValue(Namespace) is not null)
                {
                    result.AddError("--namespace and --all-namespaces exclude each other");
                }
            });
        }

        return command;
    }

    /// <exception cref="CommandException">no kubeconfig, or nothing usable in it.</exception>
    public static ClusterConnection Connect(this ParseResult parsed, TimeSpan readTimeout) =>
        ClusterConnection.Open(parsed.GetValue(Kubeconfig), parsed.GetValue(Context), parsed.GetValue(Namespace), readTimeout);

    /// <summary>For commands that only read.</summary>
    public static TimeSpan TimeoutOfReading(this ParseResult parsed) => parsed.GetValue(Timeout) is { } given ? given : ReadTimeout;

    public static TimeSpan TimeoutOfRequest(this ParseResult parsed) => parsed.GetValue(Timeout) is { } given ? given : RequestTimeout;
}
