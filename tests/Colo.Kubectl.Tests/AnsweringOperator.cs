using System.Text.Json.Nodes;
using Colo.Testing;
using Colo.Testing.Kube;

namespace Colo.Kubectl.Tests;

/// <summary>
/// Plays the operator for one volume, through kubectl: waits for one request, says in status.lastRequest what came of it, and removes
/// its annotations.
/// </summary>
internal sealed class AnsweringOperator(KubeApiServer server, string @namespace, string volume)
{
    /// <param name="verb">The request to wait for.</param>
    /// <param name="status">More of the status, set with the outcome.</param>
    /// <returns>The annotations as they were.</returns>
    public async Task<JsonObject> AnswerAsync(string verb, string outcome, string message, JsonObject? status = null)
    {
        JsonObject annotations = await UntilAskedAsync(verb);
        JsonObject said = status ?? [];
        said["lastRequest"] = new JsonObject
        {
            ["verb"] = verb, ["outcome"] = outcome, ["message"] = message, ["time"] = ColoCluster.Time(DateTimeOffset.UtcNow),
        };
        await ColoCluster.PatchStatusAsync(server, @namespace, volume, said);
        await RemoveAsync(verb);
        return annotations;
    }

    public async Task<JsonObject> UntilAskedAsync(string verb)
    {
        JsonObject? annotations = null;
        await Eventually.TrueAsync(
            async () =>
            {
                JsonNode seen = await server.Admin.JsonAsync("get", "rvol", volume, "-n", @namespace);
                annotations = seen["metadata"]!["annotations"] as JsonObject;
                return annotations?[$"colo.dev/{verb}"] is not null;
            },
            $"{verb} is asked for");
        return annotations!;
    }

    public Task RemoveAsync(string verb) => server.Admin.OutputAsync(
        "annotate", "rvol", volume, "-n", @namespace, $"colo.dev/{verb}-", "colo.dev/accept-data-loss-");
}
