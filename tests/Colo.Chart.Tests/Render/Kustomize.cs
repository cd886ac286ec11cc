using Colo.Testing;
using Colo.Testing.Kube;
using Colo.Testing.Local;

namespace Colo.Chart.Tests.Render;

/// <summary>`kubectl kustomize` on a folder of config/.</summary>
internal static class Kustomize
{
    public static async Task<ToolResult> BuildAsync(string folder) => await Tool.RunAsync(
        await KubePrograms.PathOfAsync("kubectl"), "kustomize", Path.Combine(Built.Repository, "config", folder));
}
