using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using Colo.Api;
using Colo.Kubernetes;

namespace Colo.Cli.Cluster;

/// <summary>
/// A ReplicatedVolume as the API server gave it, and as we read it. An object that we cannot read (another version's, or written past
/// the schema) is still listed by name, with the reason.
/// </summary>
internal sealed class ClusterVolume
{
    private readonly Resource<JsonObject> resource;

    public ClusterVolume(Resource<JsonObject> resource)
    {
        this.resource = resource;
        try
        {
            Volume = resource.Value.Deserialize<ReplicatedVolume>(VolumeDocument.JsonOptions);
        }
        catch (JsonException e)
        {
            Problem = e.Message;
        }
    }

    public string Namespace => resource.Key.Namespace;

    public string Name => resource.Key.Name;

    public string Uid => resource.Uid;

    /// <summary>False only where this state is known to be older than <paramref name="other"/>: caches of the server may lag.</summary>
    public bool IsAtLeastAsNewAs(ClusterVolume other) =>
        !ulong.TryParse(resource.ResourceVersion, NumberStyles.None, CultureInfo.InvariantCulture, out ulong mine) ||
        !ulong.TryParse(other.resource.ResourceVersion, NumberStyles.None, CultureInfo.InvariantCulture, out ulong others) ||
        mine >= others;

    /// <summary>When it was made, by the API server's clock.</summary>
    public DateTimeOffset? Created => resource.Metadata.CreationTimestamp is { } at ? new DateTimeOffset(at.ToUniversalTime()) : null;

    /// <summary>Null where <see cref="Problem"/> says why.</summary>
    public ReplicatedVolume? Volume { get; }

    public string? Problem { get; }

    public ReplicatedVolumeStatus Status => Volume?.Status ?? new ReplicatedVolumeStatus();

    public string? Annotation(string key) => resource.Metadata.Annotations is { } all && all.TryGetValue(key, out string? value) ? value : null;

    /// <summary>As the API server holds it, for programs; without managedFields, as kubectl shows it.</summary>
    public JsonObject Document()
    {
        JsonObject copy = (JsonObject)resource.Value.DeepClone();
        (copy["metadata"] as JsonObject)?.Remove("managedFields");
        return copy;
    }

    /// <exception cref="CommandException">it cannot be read.</exception>
    public ReplicatedVolume Readable() => Volume ??
        throw new CommandException(ExitCode.Failed, $"{Namespace}/{Name} is not a ReplicatedVolume that this version of coloctl reads: {Problem}");
}
