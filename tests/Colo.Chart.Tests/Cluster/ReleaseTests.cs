using System.Text.Json.Nodes;
using Colo.Chart.Tests.Render;
using Colo.Testing;

namespace Colo.Chart.Tests.Cluster;

/// <summary>The life of a release on a real API server: what an upgrade keeps, what it renews, what stays after it is gone.</summary>
public sealed class ReleaseTests
{
    [Fact]
    public async Task An_upgrade_keeps_the_authority_renews_old_certificates_and_uninstalling_keeps_the_volumes()
    {
        InstalledChart cluster = new();
        await using InstalledChart owned = cluster;
        await cluster.InitializeAsync();
        string authority = await DataAsync(cluster, "colo-operator-ca");
        string issued = await DataAsync(cluster, "colo-operator-operator-tls");
        await ShouldBeUsableAsync(cluster);

        (await cluster.HelmAsync("upgrade", "colo-operator", ColoChart.Folder, "--set", "operator.replicas=3")).EnsureSuccess();
        (await DataAsync(cluster, "colo-operator-ca")).ShouldBe(authority);
        (await DataAsync(cluster, "colo-operator-operator-tls")).ShouldBe(issued);

        (await cluster.HelmAsync("upgrade", "colo-operator", ColoChart.Folder, "--set", "tls.selfSigned.renewAfterDays=0")).EnsureSuccess();
        (await DataAsync(cluster, "colo-operator-ca")).ShouldBe(authority);
        (await DataAsync(cluster, "colo-operator-operator-tls")).ShouldNotBe(issued);
        await ShouldBeUsableAsync(cluster);

        await cluster.Admin.ApplyAsync(
            """
            apiVersion: colo.dev/v1alpha1
            kind: ReplicatedVolume
            metadata: {name: precious, namespace: default}
            spec: {size: 1Gi}
            """);
        (await cluster.HelmAsync("uninstall", "colo-operator")).EnsureSuccess();
        (await cluster.Admin.OutputAsync("get", "replicatedvolumes", "-n", "default", "-o", "name")).Trim().ShouldBe("replicatedvolume.colo.dev/precious");
        (await cluster.Admin.OutputAsync("get", "clusterroles,clusterrolebindings", "-o", "name")).ShouldNotContain("colo-operator");

        // The CRD that is left does not hinder a new release.
        (await cluster.HelmAsync("install", "colo-operator", ColoChart.Folder)).EnsureSuccess();
    }

    [Fact]
    public async Task The_notes_tell_what_to_do_next_and_what_to_beware_of()
    {
        ToolResult install = await ColoChart.HelmAsync(
            "install", "colo-operator", ColoChart.Folder, "--dry-run=client", "--namespace", "storage", "--set", "admissionPolicy.enabled=false",
            "--set", "tls.mode=none", "--set", "agent.guestTcp.enabled=true", "--set", "operator.replicas=1");
        string notes = install.EnsureSuccess();
        notes.ShouldContain("kubectl -n storage rollout status deployment/colo-operator");
        notes.ShouldContain("kubectl wait --for=condition=Protected replicatedvolume/db-disk");
        notes.ShouldContain("WARNING: tls.mode is none");
        notes.ShouldContain("WARNING: agent.guestTcp is enabled");
        notes.ShouldContain("no ValidatingAdmissionPolicy");
        notes.ShouldContain("with one replica of the operator");
    }

    private static async Task<string> DataAsync(InstalledChart cluster, string secret) => (await SecretAsync(cluster, secret))["data"]!.ToJsonString();

    private static Task<JsonNode> SecretAsync(InstalledChart cluster, string secret) =>
        cluster.Admin.JsonAsync("get", "secret", secret, "-n", ColoChart.Namespace);

    private static async Task ShouldBeUsableAsync(InstalledChart cluster)
    {
        TlsSecret.Of(await SecretAsync(cluster, "colo-operator-operator-tls")).ShouldBeUsableAs("colo-operator");
    }
}
