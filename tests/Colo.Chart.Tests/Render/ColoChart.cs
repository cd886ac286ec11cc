using Colo.Testing;
using Colo.Testing.Kube;
using Colo.Testing.Local;

namespace Colo.Chart.Tests.Render;

/// <summary>The chart in this repository, and the real helm.</summary>
internal static class ColoChart
{
    public const string Release = "colo-operator";
    public const string Namespace = "colo-system";

    /// <summary>What helm takes for a cluster where none is named: today's.</summary>
    public const string Newest = "1.35";

    public static string Folder { get; } = Path.Combine(Built.Repository, "charts", "colo-operator");

    public static string RulesFile { get; } = Path.Combine(Folder, "files", "rules", "colo-alerts.yaml");

    public static async Task<ToolResult> HelmAsync(params IReadOnlyList<string> arguments) =>
        await Tool.RunAsync(await KubePrograms.PathOfAsync("helm"), arguments);

    /// <summary>The text that `helm template` gives for a cluster of that version.</summary>
    public static Task<ToolResult> TryTemplateAsync(string kubeVersion, params IReadOnlyList<string> arguments) =>
        HelmAsync(["template", Release, Folder, "--namespace", Namespace, "--kube-version", kubeVersion, .. arguments]);

    public static async Task<IReadOnlyList<Manifest>> TemplateAsync(string kubeVersion, params IReadOnlyList<string> arguments) =>
        Manifest.Parse((await TryTemplateAsync(kubeVersion, arguments)).EnsureSuccess());

    /// <summary>Everything that can be switched on.</summary>
    public static IReadOnlyList<string> Everything { get; } =
    [
        "--set", "tls.mode=certManager", "--set", "monitoring.podMonitor.enabled=true", "--set", "monitoring.prometheusRule.enabled=true",
        "--set", "monitoring.dashboards.enabled=true", "--set", "networkPolicy.enabled=true", "--set", "agent.guestTcp.enabled=true",
        "--set", "kubevirt.freeze=true", "--set-json", """operator.watchNamespaces=["a","b"]""", "--set-json", """commonLabels={"team":"storage"}""",
        "--set-json", """commonAnnotations={"example.com/by":"helm"}""",
    ];
}
