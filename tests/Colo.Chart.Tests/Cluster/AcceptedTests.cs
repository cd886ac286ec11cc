using Colo.Chart.Tests.Render;
using Colo.Testing;
using Colo.Testing.Kube;
using Colo.Testing.Local;

namespace Colo.Chart.Tests.Cluster;

/// <summary>
/// What the chart and config/ render is taken by a real kube-apiserver of the oldest version that is supported. By server-side apply:
/// it refuses a field that a kind does not have, where a plain create drops it silently.
/// </summary>
public sealed class AcceptedTests(InstalledChart cluster)
{
    private const string Version = "1.20.2";

    [Fact]
    public async Task The_defaults_are_accepted() => await DryRunAsync((await ColoChart.TryTemplateAsync(Version)).EnsureSuccess());

    [Fact]
    public async Task Everything_that_can_be_switched_on_is_accepted() =>
        await DryRunAsync((await ColoChart.TryTemplateAsync(Version, ColoChart.Everything)).EnsureSuccess());

    [Fact]
    public async Task Unusual_values_are_accepted() => await DryRunAsync((await ColoChart.TryTemplateAsync(
        Version,
        "--set", "fullnameOverride=" + new string('x', 60), "--set", "tls.mode=none", "--set", "agent.memoryBuffer.type=emptyDir", "--set", "operator.replicas=1",
        "--set", "podDisruptionBudget.maxUnavailable=50%", "--set", "imagePullSecrets[0].name=pull", "--set", "priorityClassName=high",
        "--set-json", """agent.tolerations=[{"key":"a","operator":"Equal","value":"b","effect":"NoSchedule"}]""",
        "--set-json", """agent.securityContext={"seLinuxOptions":{"type":"spc_t"}}""")).EnsureSuccess());

    [Fact]
    public async Task Config_for_kubectl_is_accepted()
    {
        await DryRunAsync((await Kustomize.BuildAsync("kubernetes-1.20")).EnsureSuccess());
        await DryRunAsync((await Kustomize.BuildAsync("certmanager")).EnsureSuccess());
        await DryRunAsync((await Kustomize.BuildAsync("monitoring")).EnsureSuccess());
    }

    [Fact]
    public async Task The_secrets_that_the_script_makes_are_accepted_and_renewed_under_the_same_authority()
    {
        using TempDirectory folder = new();
        string script = Path.Combine(Built.Repository, "config", "tls", "make-secrets.sh");
        string first = (await Tool.RunAsync(script, folder.File("ca"))).EnsureSuccess();
        await DryRunAsync(first);
        string second = (await Tool.RunAsync(script, folder.File("ca"))).EnsureSuccess();
        foreach (string role in new[] { "operator", "agent" })
        {
            TlsSecret before = TlsSecret.Of(Manifest.Parse(first), role);
            TlsSecret after = TlsSecret.Of(Manifest.Parse(second), role);
            before.ShouldBeUsableAs($"colo-{role}");
            after.ShouldBeUsableAs($"colo-{role}");
            after.AuthorityPem.ShouldBe(before.AuthorityPem);
            after.Thumbprint.ShouldNotBe(before.Thumbprint);
        }
    }

    [Fact]
    public async Task The_samples_are_accepted() =>
        (await cluster.Admin.RunAsync("apply", "--dry-run=server", "-n", "default", "-f", Path.Combine(Built.Repository, "config", "samples", "volume.yaml")))
            .EnsureSuccess();

    [Fact]
    public async Task An_object_with_a_field_that_does_not_exist_would_be_noticed()
    {
        string wrong = (await ColoChart.TryTemplateAsync(Version)).EnsureSuccess().Replace("  replicas: 2", "  replicas: 2\n  replica: 2", StringComparison.Ordinal);
        (await TryDryRunAsync(wrong)).Error.ShouldContain("unknown field \"replica\"");
    }

    private async Task DryRunAsync(string manifests) => (await TryDryRunAsync(manifests)).EnsureSuccess();

    private Task<ToolResult> TryDryRunAsync(string manifests) =>
        cluster.Admin.RunWithInputAsync(manifests, "apply", "--server-side", "--force-conflicts", "--dry-run=server", "-f", "-");
}
