using System.Text.Json;
using System.Text.Json.Nodes;
using Colo.Api;

namespace Colo.Cli.Cluster;

/// <summary>
/// A ReplicatedVolume as the API server gave it, and as we read it. An object that we cannot read (another version's, or written past
/// the schema) is still listed by name, with the reason.
/// </summary>
internal sealed class ClusterVolume
{
    public ClusterVolume(JsonObject document)
    {
        Document = document;
        JsonNode? metadata = document["metadata"];
        Namespace = metadata?["namespace"]?.GetValue<string>() ?? "";
        Name = metadata?["name"]?.GetValue<string>() ?? "";
        Uid = metadata?["uid"]?.GetValue<string>() ?? "";
        ResourceVersion = metadata?["resourceVersion"]?.GetValue<string>() ?? "";
        try
        {
            Volume = document.Deserialize<ReplicatedVolume>(VolumeDocument.JsonOptions);
        }
        catch (JsonException e)
        {
            Problem = e.Message;
        }
    }

    /// <summary>Whole, for programs.</summary>
    public JsonObject Document { get; }

    public string Namespace { get; }

    public string Name { get; }

    public string Uid { get; }

    public string ResourceVersion { get; }

    /// <summary>Null where <see cref="Problem"/> says why.</summary>
    public ReplicatedVolume? Volume { get; }

    public string? Problem { get; }

    public ReplicatedVolumeStatus Status => Volume?.Status ?? new ReplicatedVolumeStatus();

    public string? Annotation(string key) => Document["metadata"]?["annotations"]?[key]?.GetValue<string>();

    /// <exception cref="CommandException">it cannot be read.</exception>
    public ReplicatedVolume Readable() => Volume ??
        throw new CommandException(ExitCode.Failed, $"{Namespace}/{Name} is not a ReplicatedVolume that this version of coloctl reads: {Problem}");
}
