using System.CommandLine;
using System.Text.Json.Nodes;
using Colo.Cli.Commands;
using Colo.Cli.Status;
using Colo.Kubernetes;
using Spectre.Console;

namespace Colo.Cli.Cluster;

internal enum ClusterOutput
{
    Text,
    Wide,
    Json,
    Yaml,
}

/// <summary>`coloctl status`: a table of the volumes, or all there is to see of one.</summary>
internal static class ClusterStatusCommand
{
    /// <summary>Ages change without the cluster saying anything.</summary>
    private static readonly TimeSpan Redraw = TimeSpan.FromSeconds(1);

    public static Command Create()
    {
        Argument<string?> volume = new("volume")
        {
            Description = "All there is to see of this volume; a table of all volumes where left out",
            Arity = ArgumentArity.ZeroOrOne,
            HelpName = "volume",
            CompletionSources = { VolumeNames.Complete },
        };
        Option<ClusterOutput?> output = CommonOptions.Choice<ClusterOutput>(
            "Text for people; wide: more of it; json or yaml: the ReplicatedVolume, or a List of them", "--output", "-o");
        Option<bool> watch = new("--watch", "-w") { Description = "Show it again whenever it changes, until Ctrl-C" };
        Command command = new("status", "Show the volumes: phase, replicas, checkpoint, buffer, errors, resync, endpoints, events")
        {
            volume, output, watch, ClusterOptions.AllNamespaces,
        };
        command.SetAction(async (parsed, token) =>
        {
            using ClusterConnection cluster = parsed.Connect(parsed.TimeoutOfReading());
            StatusQuery query = new(
                new VolumeClient(cluster), parsed.GetValue(volume), parsed.GetValue(ClusterOptions.AllNamespaces), parsed.GetValue(output) ?? ClusterOutput.Text);
            return parsed.GetValue(watch) ? await WatchAsync(query, token) : await ShowAsync(query, token);
        });
        return command.OnCluster();
    }

    private static async Task<int> ShowAsync(StatusQuery query, CancellationToken token)
    {
        IReadOnlyList<ClusterVolume> volumes = await query.ReadAsync(token);
        if (query.Output is ClusterOutput.Json or ClusterOutput.Yaml)
        {
            Console.Write(query.Document(volumes));
        }
        else if (volumes.Count == 0)
        {
            Console.Error.WriteLine(query.AllNamespaces ? "no volumes" : $"no volumes in namespace '{query.Client.Cluster.Namespace}' (-A shows all namespaces)");
        }
        else
        {
            query.Render(Terminal.Output, volumes, await query.EventsAsync(volumes, token));
        }

        return ExitCode.Ok;
    }

    private static async Task<int> WatchAsync(StatusQuery query, CancellationToken token)
    {
        // Whatever is wrong is said before the screen is changed; afterwards a server that is away for a while is waited for.
        IReadOnlyList<ClusterVolume> first = await query.ReadAsync(token);
        ClusterVolume? one = query.Name is null ? null : first[0];
        Informer<JsonObject> informer = query.Client.Follow(one?.Namespace ?? query.Scope, one?.Name);
        using SemaphoreSlim changed = new(1);
        informer.Changed += _ => changed.Release();
        using CancellationTokenSource end = CancellationTokenSource.CreateLinkedTokenSource(token);
        Task following = informer.RunAsync(end.Token);
        try
        {
            await DrawUntilCancelledAsync(query, first, informer, changed, token);
            return ExitCode.Ok;
        }
        finally
        {
            await end.CancelAsync();
            await following.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }

    private static async Task DrawUntilCancelledAsync(
        StatusQuery query, IReadOnlyList<ClusterVolume> volumes, Informer<JsonObject> informer, SemaphoreSlim changed, CancellationToken token)
    {
        bool forPeople = query.Output is ClusterOutput.Text or ClusterOutput.Wide;
        using LiveScreen? screen = forPeople ? new LiveScreen() : null;
        bool drawAges = forPeople && Terminal.IsTerminal;
        IReadOnlyList<ClusterEvent>? events = null;
        try
        {
            for (bool isNew = true; ;)
            {
                if (isNew)
                {
                    events = forPeople ? await query.EventsAsync(volumes, token) : [];
                }

                if (screen is null)
                {
                    Console.Write((query.Output == ClusterOutput.Yaml ? "---\n" : "") + query.Document(volumes));
                }
                else
                {
                    string? warning = SilenceOf(informer);
                    screen.Show(console => query.Render(console, volumes, events, warning));
                }

                isNew = await changed.WaitAsync(drawAges ? Redraw : Timeout.InfiniteTimeSpan, token);
                while (isNew && changed.Wait(0, token))
                {
                    // One picture for all that changed at once.
                }

                volumes = informer.Synced.IsCompletedSuccessfully ? VolumeClient.Sorted(informer.List()) : volumes;
            }
        }
        catch (OperationCanceledException)
        {
            // Ctrl-C is how this ends.
        }
    }

    /// <summary>Bookmarks come every minute, where nothing else does.</summary>
    private static string? SilenceOf(Informer<JsonObject> informer) => informer.SilentFor is { TotalSeconds: > 90 } silent
        ? $"the cluster has not answered for {Age.Span(silent)}: this is what was seen last"
        : null;
}
