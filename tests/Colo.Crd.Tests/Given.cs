using System.Text.Json.Nodes;

namespace Colo.Crd.Tests;

/// <summary>Manifests as JSON.</summary>
internal static class Given
{
    /// <param name="spec">A JSON object; single quotes will do.</param>
    public static JsonObject Volume(string spec, string name = "disk") => new()
    {
        ["apiVersion"] = "colo.dev/v1alpha1",
        ["kind"] = "ReplicatedVolume",
        ["metadata"] = new JsonObject { ["name"] = name },
        ["spec"] = JsonNode.Parse(spec.Replace('\'', '"')),
    };
}
