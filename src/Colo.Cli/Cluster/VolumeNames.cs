using System.CommandLine;
using System.CommandLine.Completions;

namespace Colo.Cli.Cluster;

/// <summary>Completes the name of a volume from the cluster that the command line names so far.</summary>
internal static class VolumeNames
{
    /// <summary>Somebody waits at the prompt; --timeout says otherwise.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(2);

    public static IEnumerable<CompletionItem> Complete(CompletionContext context)
    {
        if (context is not TextCompletionContext)
        {
            // The help asks as well, to list what may be given; it must not wait for a cluster.
            return [];
        }

        try
        {
            TimeSpan patience = context.ParseResult.GetValue(ClusterOptions.Timeout) is { } given ? given : Patience;
            using ClusterConnection cluster = context.ParseResult.Connect(patience);
            using CancellationTokenSource limit = new(patience);
            string? @namespace = context.ParseResult.GetValue(ClusterOptions.AllNamespaces) ? null : cluster.Namespace;
            return [.. new VolumeClient(cluster).ListAsync(@namespace, limit.Token).GetAwaiter().GetResult().Select(v => new CompletionItem(v.Name))];
        }
        catch (Exception e) when (e is CommandException or OperationCanceledException)
        {
            return [];
        }
    }
}
