using System.Text.Json.Nodes;
using Colo.Testing;
using Colo.Testing.Local;

namespace Colo.Chart.Tests.Render;

/// <summary>What `make manifests` writes is what is committed, and config/ is the chart said for kubectl.</summary>
public sealed class DerivedFilesTests
{
    [Fact]
    public async Task Nobody_forgot_to_run_make_manifests()
    {
        using TempDirectory root = new();
        string chart = Path.Combine(root.Path, "charts");
        (await Tool.RunAsync("cp", "-r", Path.Combine(Built.Repository, "charts"), chart)).EnsureSuccess();
        (await Tool.RunAsync(Path.Combine(Built.Repository, "eng", "manifests.sh"), root.Path)).EnsureSuccess();

        string[] written = Directory.GetFiles(Path.Combine(root.Path, "config"), "*.yaml", SearchOption.AllDirectories);
        written.Length.ShouldBeGreaterThan(8);
        string[] crds = Directory.GetFiles(Path.Combine(chart, "colo-operator", "files", "crds"), "*.yaml", SearchOption.AllDirectories);
        foreach (string file in written.Concat(crds))
        {
            string path = Path.GetRelativePath(root.Path, file);
            (await File.ReadAllTextAsync(Path.Combine(Built.Repository, path))).ShouldBe(
                await File.ReadAllTextAsync(file), $"{path} differs: make manifests");
        }
    }

    [Fact]
    public async Task Kustomize_makes_what_the_chart_installs()
    {
        IReadOnlyList<Manifest> chart = [.. (await ColoChart.TemplateAsync("1.29", "--set", "tls.mode=certManager")).Where(m => m.Kind is not ("Certificate" or "Issuer"))];
        IReadOnlyList<Manifest> kustomize = [.. Manifest.Parse((await Kustomize.BuildAsync("default")).EnsureSuccess()).Where(m => m.Kind != "Namespace")];
        kustomize.Select(m => m.Id).Order(StringComparer.Ordinal).ShouldBe(chart.Select(m => m.Id).Order(StringComparer.Ordinal));
        foreach (Manifest manifest in kustomize)
        {
            Manifest other = chart.Single(m => m.Id == manifest.Id);
            manifest.ApiVersion.ShouldBe(other.ApiVersion, manifest.Id);
            foreach (string part in new[] { "spec", "rules", "roleRef", "subjects" })
            {
                WithoutLabelsOfHelm(manifest.Content[part]).ShouldBe(WithoutLabelsOfHelm(other.Content[part]), manifest.Id);
            }
        }
    }

    [Fact]
    public async Task Every_folder_of_config_builds()
    {
        foreach (string file in Directory.GetFiles(Path.Combine(Built.Repository, "config"), "kustomization.yaml", SearchOption.AllDirectories))
        {
            string folder = Path.GetFileName(Path.GetDirectoryName(file)!);
            Manifest.Parse((await Kustomize.BuildAsync(folder)).EnsureSuccess()).ShouldNotBeEmpty(folder);
        }
    }

    private static string? WithoutLabelsOfHelm(JsonNode? part)
    {
        JsonNode? copy = part?.DeepClone();
        if (copy is JsonObject spec && spec["template"]?["metadata"]?["labels"] is JsonObject labels)
        {
            labels.Remove("helm.sh/chart");
            labels.Remove("app.kubernetes.io/managed-by");
        }

        return copy is null ? null : Sorted(copy).ToJsonString();
    }

    private static JsonNode Sorted(JsonNode node) => node switch
    {
        JsonObject map => new JsonObject(map.OrderBy(p => p.Key, StringComparer.Ordinal)
            .Select(p => KeyValuePair.Create(p.Key, p.Value is null ? null : Sorted(p.Value)))),
        JsonArray list => new JsonArray([.. list.Select(i => i is null ? null : Sorted(i))]),
        _ => node.DeepClone(),
    };
}
