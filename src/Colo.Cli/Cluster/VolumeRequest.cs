using System.Globalization;
using System.Text.Json.Nodes;
using Colo.Api;

namespace Colo.Cli.Cluster;

/// <summary>
/// What a person asks the operator for: an annotation on the volume, which the operator removes when it has judged the request, having
/// said in status.lastRequest what came of it.
/// </summary>
/// <param name="Verb">As status.lastRequest names it; the annotation is <c>colo.dev/VERB</c>.</param>
/// <param name="Value">Of the annotation.</param>
internal sealed record VolumeRequest(string Verb, string Value)
{
    private const string AcceptDataLossKey = ReplicatedVolume.Group + "/accept-data-loss";

    public string Key => $"{ReplicatedVolume.Group}/{Verb}";

    /// <summary>The UID of the volume whose acknowledged writes may be lost; null: none may.</summary>
    public string? AcceptDataLoss { get; init; }

    /// <summary>The value only has to differ from that of an earlier request.</summary>
    public static VolumeRequest Checkpoint() => new("checkpoint", Guid.NewGuid().ToString("N"));

    public static VolumeRequest SwitchOver(string node) => new("switchover", node);

    public static VolumeRequest Resync(string node) => new("resync", node);

    /// <param name="termSeen">A failover asked for under an older term than the present one is refused: somebody else was faster.</param>
    public static VolumeRequest FailOver(long termSeen, string? acceptDataLoss) =>
        new("failover", termSeen.ToString(CultureInfo.InvariantCulture)) { AcceptDataLoss = acceptDataLoss };

    /// <summary>Names the object's UID, so that a volume made anew under the same name is left alone.</summary>
    public JsonObject MergePatch(string uid)
    {
        JsonObject annotations = new() { [Key] = Value };
        if (Verb == "failover")
        {
            // One that was left from an earlier request must not count for this one.
            annotations[AcceptDataLossKey] = AcceptDataLoss;
        }

        return new JsonObject { ["metadata"] = new JsonObject { ["uid"] = uid, ["annotations"] = annotations } };
    }

    public string WithdrawnBy(ClusterVolume volume) =>
        $"kubectl annotate -n {volume.Namespace} {ReplicatedVolume.KindName.ToLowerInvariant()} {volume.Name} {Key}-";
}
