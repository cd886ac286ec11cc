using System.Globalization;
using System.Text.Json.Nodes;

namespace Colo.Kubernetes;

/// <summary>What a merge patch must say so that a status becomes another.</summary>
internal static class StatusPatch
{
    public const string ObservedGeneration = "observedGeneration";
    private const string Conditions = "conditions";
    private const string LastTransitionTime = "lastTransitionTime";

    /// <summary>Empty where <paramref name="seen"/> says all of <paramref name="desired"/> already; observedGeneration comes last.</summary>
    public static JsonObject Make(
        JsonObject seen, JsonObject desired, long generation, IReadOnlySet<string> foreign, DateTimeOffset now)
    {
        JsonObject target = desired.DeepClone().AsObject();
        target.Remove(ObservedGeneration);
        if (target[Conditions] is JsonArray conditions)
        {
            target[Conditions] = Settle(seen[Conditions] as JsonArray ?? [], conditions, now);
        }

        JsonObject patch = [];
        foreach (string name in seen.Select(p => p.Key).Union(target.Select(p => p.Key)).ToArray())
        {
            if (name != ObservedGeneration && !foreign.Contains(name))
            {
                Compare(seen[name], target[name], name, patch);
            }
        }

        if (patch.Count > 0 || seen[ObservedGeneration] is not JsonValue told || !told.TryGetValue(out long value) || value != generation)
        {
            patch[ObservedGeneration] = generation;
        }

        return patch;
    }

    private static void Compare(JsonNode? seen, JsonNode? desired, string name, JsonObject patch)
    {
        if (seen is JsonObject before && desired is JsonObject after)
        {
            JsonObject inner = [];
            foreach (string field in before.Select(p => p.Key).Union(after.Select(p => p.Key)).ToArray())
            {
                Compare(before[field], after[field], field, inner);
            }

            if (inner.Count > 0)
            {
                patch[name] = inner;
            }
        }
        else if (!JsonNode.DeepEquals(seen, desired))
        {
            patch[name] = desired?.DeepClone();
        }
    }

    /// <summary>Conditions that nobody names stay; one whose status stays keeps its time.</summary>
    private static JsonArray Settle(JsonArray seen, JsonArray desired, DateTimeOffset now)
    {
        string time = now.UtcDateTime.ToString("yyyy-MM-dd'T'HH:mm:ss'Z'", CultureInfo.InvariantCulture);
        JsonArray settled = [];
        foreach (JsonObject condition in desired.OfType<JsonObject>())
        {
            JsonObject? before = Find(seen, Type(condition));
            JsonObject after = condition.DeepClone().AsObject();
            bool stays = before is not null && JsonNode.DeepEquals(before["status"], after["status"]);
            after[LastTransitionTime] = stays && before![LastTransitionTime] is { } since ? since.DeepClone() : time;
            settled.Add((JsonNode)after);
        }

        foreach (JsonObject foreign in seen.OfType<JsonObject>().Where(c => Find(desired, Type(c)) is null))
        {
            settled.Add(foreign.DeepClone());
        }

        return settled;
    }

    private static JsonObject? Find(JsonArray conditions, string? type) =>
        conditions.OfType<JsonObject>().FirstOrDefault(c => Type(c) == type);

    private static string? Type(JsonObject condition) => condition["type"]?.GetValue<string>();
}
