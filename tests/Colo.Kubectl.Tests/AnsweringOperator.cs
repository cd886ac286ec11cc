using System.Text.Json.Nodes;
using Colo.Kubernetes;
using Colo.Testing;
using Colo.Testing.Kube;

namespace Colo.KubectlTests;

/// <summary>
/// Plays the operator for one volume, through the real API: waits for one request, says in status.lastRequest what came of it, and removes
/// its annotations.
/// </summary>
internal sealed class AnsweringOperator(KubeApiServer server, string @namespace, string volume)
{
    private readonly ResourceClient<JsonObject> volumes = ColoCluster.Volumes(server);
    private readonly ObjectKey key = new(@namespace, volume);

    /// <param name="verb">The request to wait for.</param>
    /// <param name="status">More of the status, set with the outcome.</param>
    /// <returns>The annotations as they were.</returns>
    public async Task<JsonObject> AnswerAsync(string verb, string outcome, string message, JsonObject? status = null)
    {
        JsonObject annotations = await UntilAskedAsync(verb);
        JsonObject said = status ?? [];
        said["lastRequest"] = new JsonObject
        {
            ["verb"] = verb,
            ["outcome"] = outcome,
            ["message"] = message,
            ["time"] = ColoCluster.Time(DateTimeOffset.UtcNow),
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
                Resource<JsonObject> seen = await volumes.GetAsync(key, CancellationToken.None);
                annotations = seen.Value["metadata"]!["annotations"] as JsonObject;
                return annotations?[$"colo.dev/{verb}"] is not null;
            },
            $"{verb} is asked for");
        return annotations!;
    }

    public Task RemoveAsync(string verb) => volumes.MergePatchAsync(
        key,
        new JsonObject { ["metadata"] = new JsonObject { ["annotations"] = new JsonObject { [$"colo.dev/{verb}"] = null, ["colo.dev/accept-data-loss"] = null } } },
        subresource: null,
        CancellationToken.None);
}
