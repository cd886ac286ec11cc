using System.CommandLine;
using System.Globalization;
using Colo.Cli.Status;
using Spectre.Console;

namespace Colo.Cli.Cluster;

/// <summary>`coloctl events`: what happened to the volumes, the latest last.</summary>
internal static class EventsCommand
{
    public static Command Create()
    {
        Argument<string?> volume = new("volume")
        {
            Description = "Of this volume only",
            Arity = ArgumentArity.ZeroOrOne,
            HelpName = "volume",
            CompletionSources = { VolumeNames.Complete },
        };
        Command command = new("events", "Show what happened to the volumes, the latest last") { volume, ClusterOptions.AllNamespaces };
        command.SetAction((parsed, token) => RunAsync(parsed, parsed.GetValue(volume), token));
        return command.OnCluster();
    }

    private static async Task<int> RunAsync(ParseResult parsed, string? name, CancellationToken token)
    {
        using ClusterConnection cluster = parsed.Connect(parsed.TimeoutOfReading());
        bool all = parsed.GetValue(ClusterOptions.AllNamespaces);
        IReadOnlyList<ClusterEvent> events = await VolumeEventReader.ReadAsync(cluster, all ? null : cluster.Namespace, name, token);
        if (events.Count == 0)
        {
            // A deleted volume has Events and no object; one that has neither is a slip of the pen.
            if (name is not null)
            {
                await VolumeLookup.FindAsync(new VolumeClient(cluster), name, all, token);
            }

            Console.Error.WriteLine("no events");
            return ExitCode.Ok;
        }

        Render(Terminal.Output, events, all, DateTimeOffset.UtcNow);
        return ExitCode.Ok;
    }

    internal static void Render(IAnsiConsole console, IReadOnlyList<ClusterEvent> events, bool namespaces, DateTimeOffset now)
    {
        string[] columns = [.. namespaces ? (string[])["NAMESPACE"] : [], "AGE", "TYPE", "VOLUME", "REASON", "MESSAGE"];
        Grid grid = new();
        foreach (string column in columns)
        {
            GridColumn shown = new GridColumn().PadLeft(0).PadRight(3);
            grid.AddColumn(column == "MESSAGE" ? shown : shown.NoWrap());
        }

        grid.AddRow([.. columns.Select(c => new Text(c, new Style(decoration: Decoration.Bold)))]);
        foreach (ClusterEvent happened in events)
        {
            grid.AddRow(
            [
                .. namespaces ? (Text[])[new Text(happened.Namespace)] : [],
                new Text(AgeOf(happened, now), new Style(Color.Grey)),
                new Text(happened.Type, happened.Type == "Warning" ? new Style(Color.Yellow) : Style.Plain),
                new Text(happened.Volume),
                new Text(happened.Reason),
                new Text(happened.Message),
            ]);
        }

        console.Write(grid);
    }

    private static string AgeOf(ClusterEvent happened, DateTimeOffset now) => happened.Count > 1
        ? string.Create(CultureInfo.InvariantCulture, $"{Age.Span(now - happened.Time)} (x{happened.Count} over {Age.Span(now - happened.First)})")
        : Age.Span(now - happened.Time);
}
