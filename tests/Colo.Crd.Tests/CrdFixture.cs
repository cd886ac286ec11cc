using System.Globalization;
using System.Text.Json.Nodes;
using Colo.Testing.Kube;
using Colo.Testing.Local;

namespace Colo.Crd.Tests;

/// <summary>One API server for all these tests, with the committed CRD installed as a user would: kubectl apply.</summary>
public sealed class CrdFixture : IAsyncLifetime
{
    public KubeApiServerFixture Kube { get; } = new();

    public Kubectl Admin => Kube.Admin;

    /// <summary>Whether this server evaluates the rules, CEL with quantities: 1.29 and later.</summary>
    public bool ServerKnowsRules { get; private set; }

    public static string File(bool withRules) => Path.Combine(
        Built.Repository, "crds", withRules ? "." : "without-rules", "colo.dev_replicatedvolumes.yaml");

    public async ValueTask InitializeAsync()
    {
        await Kube.InitializeAsync();
        JsonNode version = (await Admin.JsonAsync("version"))["serverVersion"]!;
        ServerKnowsRules = int.Parse(((string)version["minor"]!).TrimEnd('+'), CultureInfo.InvariantCulture) >= 29;
        await Admin.OutputAsync("apply", "-f", File(ServerKnowsRules));
        await Admin.OutputAsync("wait", "--for=condition=Established", "crd/replicatedvolumes.colo.dev", "--timeout=60s");
    }

    public Task<string> NewNamespaceAsync() => Kube.NewNamespaceAsync();

    /// <param name="dryRun">Everything is checked and nothing stored.</param>
    public Task<KubeAnswer> CreateAsync(string space, JsonNode volume, bool dryRun = false) =>
        Kube.Server.SendAsync(HttpMethod.Post, Volumes(space) + (dryRun ? "?dryRun=All" : ""), volume);

    public Task<KubeAnswer> GetAsync(string space, string name) => Kube.Server.SendAsync(HttpMethod.Get, $"{Volumes(space)}/{name}");

    public Task<KubeAnswer> PatchAsync(string space, string name, string patch, string subresource = "") =>
        Kube.Server.SendAsync(HttpMethod.Patch, $"{Volumes(space)}/{name}{subresource}", JsonNode.Parse(patch), "application/merge-patch+json");

    public ValueTask DisposeAsync() => Kube.DisposeAsync();

    private static string Volumes(string space) => $"/apis/colo.dev/v1alpha1/namespaces/{space}/replicatedvolumes";
}
