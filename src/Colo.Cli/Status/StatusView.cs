using System.Globalization;
using Colo.Api;
using Colo.Cli.Local;
using Spectre.Console;
using Spectre.Console.Rendering;
using RequestOutcome = Colo.Api.RequestOutcome;

namespace Colo.Cli.Status;

/// <summary>A volume for a person's eyes, in sections as `kubectl cnpg status` has them. Everything shown is escaped: names are data.</summary>
public static class StatusView
{
    private const int BarWidth = 40;

    /// <summary>Older ones are what `coloctl events` and the log are for.</summary>
    private const int EventsShown = 8;

    /// <param name="wide">Conditions, finalizers and all events too.</param>
    public static void Render(IAnsiConsole console, VolumeReport report, DateTimeOffset now, bool wide = false)
    {
        ReplicatedVolume volume = report.Volume;
        ReplicatedVolumeStatus status = volume.Status ?? new ReplicatedVolumeStatus();
        Section(console, "Volume", VolumeGrid(volume, status, now));
        Section(console, "Replicas", Replicas(status, now));
        Section(console, "Checkpoint", Checkpoint(volume.Spec, status, now));
        if (status.Buffer is { } buffer)
        {
            Section(console, "Buffer", Bar(buffer.Limit.Bytes == 0 ? 0 : (double)buffer.Used.Bytes / buffer.Limit.Bytes,
                $"{buffer.Used.ToDisplayString()} of {buffer.Limit.ToDisplayString()} ({volume.Spec.Buffer.Medium})", warnAbove: 0.75));
        }

        if (status.Resync is { } resync)
        {
            string finish = resync.EstimatedFinish is { } at ? $", {Age.Span(at - now)} to go" : "";
            Section(console, "Resync", Bar(resync.Percent / 100, $"{resync.BytesRemaining.ToDisplayString()} left{finish}", warnAbove: 2));
        }

        Section(console, "Errors", Errors(status));
        Section(console, "Endpoints", Endpoints(status));
        if (wide && status.Conditions.Count > 0)
        {
            Section(console, "Conditions", Conditions(status, now));
        }

        if (report.Events.Count > 0)
        {
            Section(console, "Events", Events(wide ? report.Events : [.. report.Events.TakeLast(EventsShown)], now));
        }
    }

    private static void Section(IAnsiConsole console, string title, IRenderable content)
    {
        console.MarkupLine($"[bold green]{title}[/]");
        // A table ends with an empty line of its own.
        console.Write(new Padder(content, new Padding(2, 0, 0, content is Table ? 0 : 1)));
    }

    private static Grid VolumeGrid(ReplicatedVolume volume, ReplicatedVolumeStatus status, DateTimeOffset now)
    {
        Grid grid = Pairs();
        Pair(grid, "Name", $"{volume.Metadata.Namespace}/{volume.Metadata.Name}");
        Pair(grid, "UID", volume.Metadata.Uid ?? "");
        grid.AddRow(new Text("Phase:"), new Text(status.Phase.ToString(), PhaseStyle(status.Phase)));
        Pair(grid, "Reason", status.Message);
        Pair(grid, "Size", volume.Spec.Size.ToString());
        Pair(grid, "Mode", $"{volume.Spec.Mode}, failover {volume.Spec.Failover.Policy} to {volume.Spec.EffectiveRecoveryPoint}");
        Pair(grid, "Term", status.Term.ToString(CultureInfo.InvariantCulture));
        Pair(grid, "Primary", status.TargetPrimary == status.CurrentPrimary || status.TargetPrimary.Length == 0
            ? status.CurrentPrimary
            : $"{status.CurrentPrimary} -> {status.TargetPrimary}");
        if (status.LastRequest is { } request)
        {
            grid.AddRow(
                new Text("Last request:"),
                new Text($"{request.Verb} {request.Outcome.ToString().ToLowerInvariant()}: {request.Message} ({Age.Ago(now - request.Time)})", OutcomeStyle(request.Outcome)));
        }

        if (volume.Metadata.DeletionTimestamp is { } deletion)
        {
            Pair(grid, "Deletion", $"asked for {Age.Ago(now - deletion)}; waits for {string.Join(", ", volume.Metadata.Finalizers ?? [])}");
        }

        return grid;
    }

    private static Table Replicas(ReplicatedVolumeStatus status, DateTimeOffset now)
    {
        Table table = new() { Border = TableBorder.Simple };
        foreach (string column in (string[])["Node", "Role", "State", "Online", "In sync", "Term", "Seen"])
        {
            table.AddColumn(new TableColumn(new Text(column, new Style(decoration: Decoration.Bold))));
        }

        foreach (ReplicaStatus replica in status.Replicas)
        {
            bool recordedStale = !replica.InSync && status.CurrentSecondary == replica.Node;
            table.AddRow(
                new Text(replica.Node),
                new Text(replica.Role.ToString()),
                new Text(replica.State, replica.Online ? Style.Plain : new Style(Color.Red)),
                YesNo(replica.Online),
                recordedStale ? new Text(status.SecondaryState.ToString(), new Style(Color.Yellow)) : YesNo(replica.InSync),
                new Text(replica.Term == 0 ? "-" : replica.Term.ToString(CultureInfo.InvariantCulture)),
                new Text(replica.LastSeen is { } seen ? Age.Ago(now - seen) : "never"));
        }

        return table;
    }

    private static Grid Checkpoint(ReplicatedVolumeSpec spec, ReplicatedVolumeStatus status, DateTimeOffset now)
    {
        Grid grid = Pairs();
        Pair(grid, "Interval", spec.Checkpoint.Interval == default ? "only when asked for" : spec.Checkpoint.Interval.ToString());
        if (status.Checkpoint is { } checkpoint)
        {
            Pair(grid, "Completed", checkpoint.Sequence.ToString(CultureInfo.InvariantCulture) + " under this term");
            Pair(grid, "Last", checkpoint.LastTime is { } at ? Age.Ago(now - at) : "none yet");
            Pair(grid, "Pause", checkpoint.LastPause is { } pause
                ? pause.Value.TotalMilliseconds.ToString("0.00", CultureInfo.InvariantCulture) + " ms"
                : "-");
        }

        return grid;
    }

    private static IRenderable Errors(ReplicatedVolumeStatus status)
    {
        if (status.Errors.Count == 0)
        {
            return new Text("none", new Style(Color.Grey));
        }

        Grid grid = Pairs();
        foreach (VolumeError error in status.Errors)
        {
            string number = error.Number > 0 ? $"{error.Number} " : "";
            grid.AddRow(new Text(error.Node + ":"), new Text($"{number}{error.Name}: {error.Message}", new Style(Color.Red)));
        }

        return grid;
    }

    private static IRenderable Endpoints(ReplicatedVolumeStatus status)
    {
        if (status.Endpoint is not { } endpoint)
        {
            return new Text("none: no primary serves", new Style(Color.Yellow));
        }

        Grid grid = Pairs();
        Pair(grid, "Guest socket", endpoint.Unix ?? "none: no primary serves");
        Pair(grid, "Guest URI", endpoint.Uri);
        Pair(grid, "Guest TCP", endpoint.Tcp);
        Pair(grid, "Secondary's view", endpoint.SecondaryUri);
        return grid;
    }

    private static Grid Events(IReadOnlyList<VolumeEvent> events, DateTimeOffset now)
    {
        Grid grid = new Grid().AddColumn(new GridColumn().NoWrap().PadRight(2)).AddColumn(new GridColumn().NoWrap().PadRight(2)).AddColumn();
        foreach (VolumeEvent happened in events)
        {
            grid.AddRow(new Text(Age.Ago(now - happened.Time), new Style(Color.Grey)), new Text(happened.Kind), new Text(happened.Message));
        }

        return grid;
    }

    private static Grid Conditions(ReplicatedVolumeStatus status, DateTimeOffset now)
    {
        Grid grid = new();
        foreach (int _ in Enumerable.Range(0, 4))
        {
            grid.AddColumn(new GridColumn().NoWrap().PadRight(2));
        }

        grid.AddColumn();
        foreach (VolumeCondition condition in status.Conditions)
        {
            string since = condition.LastTransitionTime is { } at ? Age.Span(now - at) : "";
            grid.AddRow(new Text(condition.Type), new Text(condition.Status), new Text(since, new Style(Color.Grey)), new Text(condition.Reason), new Text(condition.Message));
        }

        return grid;
    }

    private static Text Bar(double ratio, string caption, double warnAbove)
    {
        int filled = (int)Math.Clamp(ratio * BarWidth, 0, BarWidth);
        string bar = new string('█', filled) + new string('░', BarWidth - filled);
        return new Text(string.Create(CultureInfo.InvariantCulture, $"{bar} {ratio * 100,5:0.0} %  {caption}"), new Style(ratio > warnAbove ? Color.Yellow : Color.Default));
    }

    private static Grid Pairs() => new Grid().AddColumn(new GridColumn().NoWrap().PadRight(2)).AddColumn();

    private static void Pair(Grid grid, string name, string? value)
    {
        if (!string.IsNullOrEmpty(value))
        {
            grid.AddRow(new Text(name + ":"), new Text(value));
        }
    }

    private static Text YesNo(bool yes) => yes ? new Text("yes", new Style(Color.Green)) : new Text("no", new Style(Color.Red));

    private static Style OutcomeStyle(RequestOutcome outcome) => outcome switch
    {
        RequestOutcome.Refused or RequestOutcome.Failed => new Style(Color.Red),
        RequestOutcome.Accepted => new Style(Color.Yellow),
        _ => Style.Plain,
    };

    public static Style PhaseStyle(VolumePhase phase) => new(
        phase switch
        {
            VolumePhase.Protected => Color.Green,
            VolumePhase.Faulted => Color.Red,
            VolumePhase.Pending or VolumePhase.Provisioning or VolumePhase.Deleting => Color.Grey,
            _ => Color.Yellow,
        },
        decoration: Decoration.Bold);
}
