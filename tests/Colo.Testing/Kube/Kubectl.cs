using System.Text.Json.Nodes;

namespace Colo.Testing.Kube;

/// <summary>
/// The real kubectl (1.35) as one user of one cluster. What it remembers of a server stays in a folder of the cluster's own: a later
/// server on the same port is another one.
/// </summary>
public sealed class Kubectl(string kubeconfig, string cacheDirectory)
{
    public string Kubeconfig => kubeconfig;

    /// <summary>Whatever it says and however it ends; <see cref="ToolResult.EnsureSuccess"/> where only success will do.</summary>
    public Task<ToolResult> RunAsync(params IReadOnlyList<string> arguments) => RunWithInputAsync(null, arguments);

    /// <param name="input">What <c>-f -</c> reads.</param>
    public async Task<ToolResult> RunWithInputAsync(string? input, params IReadOnlyList<string> arguments) =>
        await Tool.RunAsync(
            await KubePrograms.PathOfAsync("kubectl"),
            ["--kubeconfig", kubeconfig, "--cache-dir", cacheDirectory, .. arguments],
            input: input);

    /// <summary>Its output, where it succeeds.</summary>
    /// <exception cref="InvalidOperationException">it did not; all that it said.</exception>
    public async Task<string> OutputAsync(params IReadOnlyList<string> arguments) => (await RunAsync(arguments)).EnsureSuccess();

    /// <summary>Runs with <c>-o json</c>.</summary>
    public async Task<JsonNode> JsonAsync(params IReadOnlyList<string> arguments) =>
        JsonNode.Parse(await OutputAsync([.. arguments, "-o", "json"]))!;

    /// <summary>Applies manifests (YAML or JSON text); more arguments may follow, such as <c>--server-side</c>.</summary>
    public async Task ApplyAsync(string manifests, params IReadOnlyList<string> arguments) =>
        (await RunWithInputAsync(manifests, ["apply", "-f", "-", .. arguments])).EnsureSuccess();
}
