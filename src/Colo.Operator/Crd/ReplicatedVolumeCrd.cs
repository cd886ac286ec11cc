using System.Text.Json.Nodes;
using Colo.Api;
using Colo.Kubernetes.Crd;

namespace Colo.Operator.Crd;

/// <summary>
/// The CustomResourceDefinition of <see cref="ReplicatedVolume"/>: shape, defaults and descriptions from Colo.Api, and here what no
/// type can say. What a schema can refuse it refuses (servers before 1.25 drop CEL); the rest are <see cref="VolumeRules"/> as CEL.
/// </summary>
public static class ReplicatedVolumeCrd
{
    /// <summary>A node's name, or none.</summary>
    private const string NodePattern = @"^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*)?$";

    private const string LabelKeyPattern = @"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$";

    private const string Header =
        "Generated from src/Colo.Api and src/Colo.Operator/Crd by `make crds`; a test fails where it differs from them.";

    public static CrdDescription Description { get; } = new()
    {
        Group = ReplicatedVolume.Group,
        Kind = ReplicatedVolume.KindName,
        Plural = "replicatedvolumes",
        Singular = "replicatedvolume",
        ShortNames = ["rvol"],
        Categories = ["colo"],
        Versions =
        [
            new CrdVersion
            {
                Name = ReplicatedVolume.Version,
                Type = typeof(ReplicatedVolume),
                Columns =
                [
                    new("Phase", "string", ".status.phase"),
                    new("Primary", "string", ".status.currentPrimary"),
                    new("Secondary", "string", ".status.currentSecondary"),
                    new("Sync", "string", ".status.secondaryState", Description: "What the record says of the second copy."),
                    new("Checkpoint", "date", ".status.checkpoint.lastTime", Description: "Time since the last checkpoint."),
                    new("Size", "string", ".spec.size"),
                    new("Age", "date", ".metadata.creationTimestamp"),
                    new("Mode", "string", ".spec.mode", Priority: 1),
                    new("Pool", "string", ".spec.storagePool", Priority: 1),
                    new("Term", "integer", ".status.term", Priority: 1),
                    new("Message", "string", ".status.message", Priority: 1),
                ],
                Keywords = Keywords(),
                Rules =
                [
                    .. VolumeRules.All.Select(r => new CrdRule("spec", r.Cel, r.Message, r.Path)),
                    .. VolumeRules.Changes.Select(r => new CrdRule("spec", r.Cel, r.Message, r.Path)),
                ],
            },
        ],
    };

    public static JsonObject ToJson() => Document(Description).ToJson();

    /// <param name="withRules">
    /// False: without the CEL rules, for servers before 1.29. Those before 1.25 know no rules (kubectl and Helm then refuse the field), those
    /// before 1.29 no quantities in them. The schema and the operator still hold what they can.
    /// </param>
    public static string ToYaml(bool withRules = true)
    {
        CrdDescription described = withRules
            ? Description
            : Description with { Versions = [.. Description.Versions.Select(v => v with { Rules = [] })] };
        return Document(described).ToYaml(withRules ? Header : Header + "\nWithout rules in CEL: for Kubernetes before 1.29.");
    }

    private static CrdDocument Document(CrdDescription described) => new(described, VolumeDocument.JsonOptions, Scalars());

    private static Dictionary<Type, CrdScalar> Scalars() => new()
    {
        [typeof(ByteQuantity)] = new(
            new()
            {
                ["anyOf"] = new JsonArray(new JsonObject { ["type"] = "integer" }, new JsonObject { ["type"] = "string" }),
                ["x-kubernetes-int-or-string"] = true,
            },
            new() { ["minimum"] = 0, ["maximum"] = ByteQuantity.MaxPlainBytes, ["maxLength"] = 32, ["pattern"] = ByteQuantity.Pattern }),
        [typeof(Duration)] = new(
            new() { ["type"] = "string" },
            new() { ["maxLength"] = 64, ["pattern"] = Duration.Pattern }),
    };

    /// <summary>The bounds also keep the estimated cost of each CEL rule inside the API server's budget.</summary>
    private static Dictionary<string, JsonObject> Keywords() => new(StringComparer.Ordinal)
    {
        ["metadata.name"] = new() { ["maxLength"] = 63, ["pattern"] = VolumeRules.NamePattern },
        ["spec.storagePool"] = new() { ["maxLength"] = 63, ["pattern"] = VolumeRules.NamePattern },
        ["spec.placement.topologyKey"] = new() { ["maxLength"] = 317, ["pattern"] = LabelKeyPattern },
        ["spec.placement.nodeSelector"] = new() { ["maxProperties"] = 64 },
        ["spec.placement.nodeSelector{}"] = new() { ["maxLength"] = 63 },
        ["spec.placement.primaryNode"] = new() { ["maxLength"] = 253, ["pattern"] = NodePattern },
        ["spec.placement.secondaryNode"] = new() { ["maxLength"] = 253, ["pattern"] = NodePattern },
        ["spec.resync.maxBytesPerSecond"] = new() { ["minimum"] = 0 },
        ["spec.source"] = new() { ["maxProperties"] = 1 },
        ["spec.source.url"] = new() { ["minLength"] = 1, ["maxLength"] = 2048 },
        ["spec.source.nbd"] = new() { ["minLength"] = 1, ["maxLength"] = 2048 },
        ["spec.source.pvc"] = new() { ["minLength"] = 1, ["maxLength"] = 253 },

        // What lists are merged by when two managers apply; no bounds: a status that is refused is worse than a long one.
        ["status.replicas"] = new() { ["x-kubernetes-list-type"] = "map", ["x-kubernetes-list-map-keys"] = new JsonArray("node") },
        ["status.conditions"] = new() { ["x-kubernetes-list-type"] = "map", ["x-kubernetes-list-map-keys"] = new JsonArray("type") },
        ["status.errors"] = new() { ["x-kubernetes-list-type"] = "atomic" },
        ["status.conditions[].status"] = new() { ["enum"] = new JsonArray("True", "False", "Unknown") },
    };
}
