using System.Globalization;
using Colo.Api;
using Colo.Cli.Status;
using Spectre.Console;
using Spectre.Console.Rendering;

namespace Colo.Cli.Cluster;

/// <summary>Many volumes, a line each.</summary>
internal static class VolumeTable
{
    private static readonly string[] Columns = ["NAME", "PHASE", "PRIMARY", "SECONDARY", "SYNC", "CHECKPOINT", "SIZE", "AGE"];
    private static readonly string[] WideColumns = ["TERM", "MODE", "POOL", "UID", "MESSAGE"];

    public static IRenderable Of(IReadOnlyList<ClusterVolume> volumes, bool namespaces, bool wide, DateTimeOffset now)
    {
        string[] columns = [.. namespaces ? (string[])["NAMESPACE"] : [], .. Columns, .. wide ? WideColumns : []];
        Grid grid = new();
        foreach (string _ in columns)
        {
            grid.AddColumn(new GridColumn().NoWrap().PadLeft(0).PadRight(3));
        }

        grid.AddRow([.. columns.Select(c => new Text(c, new Style(decoration: Decoration.Bold)))]);
        foreach (ClusterVolume volume in volumes)
        {
            IEnumerable<Text> row = [.. namespaces ? (Text[])[new Text(volume.Namespace)] : [], .. Row(volume, now), .. wide ? Wide(volume) : []];
            grid.AddRow([.. row]);
        }

        return grid;
    }

    private static IEnumerable<Text> Row(ClusterVolume volume, DateTimeOffset now)
    {
        Text age = new(volume.Created is { } created ? Age.Span(now - created) : "");
        if (volume.Volume is not { } read)
        {
            return [new(volume.Name), new("Unreadable", new Style(Color.Red)), new(""), new(""), new(""), new(""), new(""), age];
        }

        ReplicatedVolumeStatus status = volume.Status;
        VolumePhase phase = read.Metadata.DeletionTimestamp is null ? status.Phase : VolumePhase.Deleting;
        return
        [
            new(volume.Name),
            new(phase.ToString(), StatusView.PhaseStyle(phase)),
            new(status.TargetPrimary.Length == 0 || status.TargetPrimary == status.CurrentPrimary
                ? status.CurrentPrimary
                : $"{status.CurrentPrimary}->{status.TargetPrimary}"),
            new(status.CurrentSecondary),
            new(Sync(status), status.SecondaryState == SecondaryState.InSync ? new Style(Color.Green) : new Style(Color.Yellow)),
            new(status.Checkpoint?.LastTime is { } last ? Age.Span(now - last) : "-"),
            new(read.Spec.Size.ToString()),
            age,
        ];
    }

    private static string Sync(ReplicatedVolumeStatus status) => status.Resync is { } resync
        ? string.Create(CultureInfo.InvariantCulture, $"{status.SecondaryState} {resync.Percent:0} %")
        : status.SecondaryState.ToString();

    private static IEnumerable<Text> Wide(ClusterVolume volume) => volume.Volume is { } read
        ?
        [
            new(volume.Status.Term.ToString(CultureInfo.InvariantCulture)),
            new(read.Spec.Mode.ToString()),
            new(read.Spec.StoragePool),
            new(volume.Uid),
            new(volume.Status.Message),
        ]
        : [new(""), new(""), new(""), new(volume.Uid), new(volume.Problem ?? "")];
}
