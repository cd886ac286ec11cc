using System.CommandLine;
using System.CommandLine.Completions;

namespace Colo.Cli.Cluster;

/// <summary>Completes the name of a volume from the cluster that the command line names so far.</summary>
internal static class VolumeNames
{
    /// <summary>Somebody waits at the prompt.</summary>
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
            using ClusterConnection cluster = context.ParseResult.Connect(Patience);
            using CancellationTokenSource limit = new(Patience);
            string? @namespace = context.ParseResult.GetValue(ClusterOptions.AllNamespaces) ? null : cluster.Namespace;
            return [.. new VolumeClient(cluster).ListAsync(@namespace, limit.Token).GetAwaiter().GetResult().Select(v => new CompletionItem(v.Name))];
        }
        catch (Exception e) when (e is CommandException or OperationCanceledException)
        {
            return [];
        }
    }
}
