using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Json.Serialization;
using Colo.Api;

namespace Colo.Operator.Status;

/// <summary>
/// The status as the operator writes it: a merge patch of its own fields alone. The record's fields are never in it, so that no write of
/// the operator can undo what an arbiter's compare-and-swap has decided.
/// </summary>
public static class StatusDocument
{
    /// <summary>Written through IVolumeRecordStore only.</summary>
    public static readonly IReadOnlyList<string> RecordFields = ["term", "currentPrimary", "currentSecondary", "secondaryState", "recordRevision"];

    /// <summary>A merge patch removes a field by null; what is left out stays as it was.</summary>
    private static readonly JsonSerializerOptions WithNulls = new(VolumeDocument.JsonOptions) { DefaultIgnoreCondition = JsonIgnoreCondition.Never };

    public static JsonObject ToPatch(ReplicatedVolumeStatus status)
    {
        JsonObject patch = JsonSerializer.SerializeToNode(status, WithNulls)!.AsObject();
        foreach (string field in RecordFields)
        {
            patch.Remove(field);
        }

        // Lists are replaced as a whole: there a null would be stored, and refused by the schema.
        foreach ((string name, JsonNode? value) in patch.ToArray())
        {
            if (value is JsonArray)
            {
                patch[name] = WithoutNulls(value);
            }
        }

        return new JsonObject { ["status"] = patch };
    }

    private static JsonNode? WithoutNulls(JsonNode? node) => node switch
    {
        JsonObject map => new JsonObject(map.Where(p => p.Value is not null).Select(p => KeyValuePair.Create(p.Key, WithoutNulls(p.Value)))),
        JsonArray list => new JsonArray([.. list.Select(WithoutNulls)]),
        _ => node?.DeepClone(),
    };
}
