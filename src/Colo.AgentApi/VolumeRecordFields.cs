using System.Text.Json;
using System.Text.Json.Nodes;

namespace Colo.AgentApi;

/// <summary>A record as fields of a ReplicatedVolume's status, and back. No other field of the object is looked at.</summary>
internal static class VolumeRecordFields
{
    private const string Term = "term";
    private const string Primary = "currentPrimary";
    private const string Secondary = "currentSecondary";
    private const string SecondaryState = "secondaryState";
    private const string Revision = "recordRevision";

    /// <summary>null where the status holds none.</summary>
    /// <exception cref="InvalidDataException">it holds something that is none.</exception>
    public static VolumeRecord? Read(string uid, JsonElement volume, string location)
    {
        if (Member(volume, "status") is not { ValueKind: JsonValueKind.Object } status
            || Member(status, Revision) is not { } revision)
        {
            return null;
        }

        try
        {
            return new(
                uid,
                Member(status, Term)?.GetInt64() ?? 0,
                Member(status, Primary)?.GetString() ?? "",
                Member(status, Secondary)?.GetString() ?? "",
                ParseState(Member(status, SecondaryState)?.GetString()),
                revision.GetInt64());
        }
        catch (Exception e) when (e is ArgumentException or InvalidOperationException or FormatException)
        {
            throw new InvalidDataException($"{location}: its status is no record: {e.Message}", e);
        }
    }

    public static JsonObject Write(VolumeRecord record) => new()
    {
        [Term] = record.Term,
        [Primary] = record.Primary,
        [Secondary] = record.Secondary,
        [SecondaryState] = record.SecondaryState.ToString(),
        [Revision] = record.Revision,
    };

    /// <summary>A JSON patch (RFC 6902) that is refused as a whole unless uid and record are as expected.</summary>
    public static JsonArray TestedPatch(string uid, VolumeRecord expected, JsonObject next)
    {
        JsonArray patch = [Step("test", "/metadata/uid", uid)];
        foreach ((string field, JsonNode? value) in Write(expected))
        {
            patch.Add(Step("test", "/status/" + field, value?.DeepClone()));
        }

        foreach ((string field, JsonNode? value) in next)
        {
            patch.Add(Step("replace", "/status/" + field, value?.DeepClone()));
        }

        return patch;

        static JsonObject Step(string operation, string path, JsonNode? value) =>
            new() { ["op"] = operation, ["path"] = path, ["value"] = value };
    }

    /// <summary>As a merge patch takes them away.</summary>
    public static JsonObject Nothing() => new()
    {
        [Term] = null, [Primary] = null, [Secondary] = null, [SecondaryState] = null, [Revision] = null,
    };

    public static JsonElement? Member(JsonElement parent, string name) =>
        parent.ValueKind == JsonValueKind.Object && parent.TryGetProperty(name, out JsonElement child) && child.ValueKind != JsonValueKind.Null
            ? child
            : null;

    private static SecondaryState ParseState(string? text) =>
        text is null ? AgentApi.SecondaryState.None
        : Enum.TryParse(text, out SecondaryState state) && Enum.IsDefined(state) && !int.TryParse(text, out _) ? state
        : throw new ArgumentException($"{SecondaryState} '{text}'");
}
