using System.Text.Json.Nodes;
using Colo.Api;
using Colo.Cli.Local;
using Colo.Cli.Status;
using Spectre.Console;

namespace Colo.Cli.Cluster;

/// <summary>What `status` was asked to show, and how to show it.</summary>
internal sealed record StatusQuery(VolumeClient Client, string? Name, bool AllNamespaces, ClusterOutput Output)
{
    /// <summary>Null: all namespaces.</summary>
    public string? Scope => AllNamespaces ? null : Client.Cluster.Namespace;

    /// <returns>Exactly one where one was named.</returns>
    /// <exception cref="CommandException">it cannot be read, or there is none of that name.</exception>
    public async Task<IReadOnlyList<ClusterVolume>> ReadAsync(CancellationToken token) => Name is null
        ? await Client.ListAsync(Scope, token)
        : [await VolumeLookup.FindAsync(Client, Name, AllNamespaces, token)];

    /// <returns>Those of the one volume that is shown; null: this person may not see them.</returns>
    public async Task<IReadOnlyList<ClusterEvent>?> EventsAsync(IReadOnlyList<ClusterVolume> volumes, CancellationToken token)
    {
        if (Name is null || volumes.Count == 0)
        {
            return [];
        }

        try
        {
            IReadOnlyList<ClusterEvent> events = await VolumeEventReader.ReadAsync(Client.Cluster, volumes[0].Namespace, Name, token);
            return [.. events.Where(e => e.VolumeUid.Length == 0 || e.VolumeUid == volumes[0].Uid)];
        }
        catch (CommandException)
        {
            return null;
        }
    }

    /// <summary>As kubectl prints it: the object, or a List of them.</summary>
    public string Document(IReadOnlyList<ClusterVolume> volumes)
    {
        JsonObject document = Name is not null && volumes.Count == 1
            ? volumes[0].Document()
            : new JsonObject
            {
                ["apiVersion"] = "v1",
                ["kind"] = "List",
                ["items"] = new JsonArray([.. volumes.Select(v => v.Document())]),
            };
        return Output == ClusterOutput.Json ? VolumeDocument.ToJson(document) + "\n" : VolumeDocument.ToYaml(document);
    }

    public void Render(IAnsiConsole console, IReadOnlyList<ClusterVolume> volumes, IReadOnlyList<ClusterEvent>? events, string? warning = null)
    {
        DateTimeOffset now = DateTimeOffset.UtcNow;
        bool wide = Output == ClusterOutput.Wide;
        if (warning is not null)
        {
            console.WriteLine(warning, new Style(Color.Yellow));
        }

        if (Name is null)
        {
            console.Write(VolumeTable.Of(volumes, AllNamespaces, wide, now));
        }
        else if (volumes.Count == 0)
        {
            console.WriteLine($"{Name} was deleted", new Style(Color.Yellow));
        }
        else
        {
            IReadOnlyList<VolumeEvent> shown = [.. (events ?? []).Select(e => new VolumeEvent(e.Time, e.Reason, e.Count > 1 ? $"{e.Message} (x{e.Count})" : e.Message))];
            StatusView.Render(console, new VolumeReport(volumes[0].Readable(), shown), now, wide);
            if (events is null)
            {
                console.WriteLine("Events are not shown: no access", new Style(Color.Yellow));
            }
        }
    }
}
