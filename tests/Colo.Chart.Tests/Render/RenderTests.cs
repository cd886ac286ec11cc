using System.Text.Json.Nodes;
using Colo.Testing;

namespace Colo.Chart.Tests.Render;

/// <summary>What the chart renders, for clusters from 1.20 to today's.</summary>
public sealed class RenderTests
{
    public static TheoryData<int> AllMinorVersions => [.. Enumerable.Range(20, 16)];

    [Fact]
    public async Task Helm_lint_finds_nothing()
    {
        ToolResult lint = await ColoChart.HelmAsync("lint", "--strict", ColoChart.Folder);
        lint.EnsureSuccess().ShouldContain("0 chart(s) failed");
        ToolResult everything = await ColoChart.HelmAsync(["lint", "--strict", ColoChart.Folder, .. ColoChart.Everything]);
        everything.EnsureSuccess().ShouldNotContain("[WARNING]");
    }

    [Theory, MemberData(nameof(AllMinorVersions))]
    public async Task Each_version_of_Kubernetes_gets_the_API_versions_that_it_knows(int minor)
    {
        IReadOnlyList<Manifest> manifests = await ColoChart.TemplateAsync($"1.{minor}");

        manifests.Single(m => m.Kind == "PodDisruptionBudget").ApiVersion.ShouldBe(minor >= 21 ? "policy/v1" : "policy/v1beta1");
        string[] policies = [.. manifests.Where(m => m.Kind.StartsWith("ValidatingAdmissionPolicy", StringComparison.Ordinal)).Select(m => m.ApiVersion)];
        policies.ShouldBe(Enumerable.Repeat("admissionregistration.k8s.io/v1", minor >= 30 ? 4 : 0));
    }

    [Fact]
    public async Task A_vendors_version_suffix_does_not_confuse_it()
    {
        (await ColoChart.TemplateAsync("v1.21.14-gke.2700")).Single(m => m.Kind == "PodDisruptionBudget").ApiVersion.ShouldBe("policy/v1");
        (await ColoChart.TemplateAsync("v1.30.1+k3s1")).Count(m => m.Kind == "ValidatingAdmissionPolicy").ShouldBe(2);
    }

    [Fact]
    public async Task More_API_versions_of_a_cluster_change_nothing_that_its_version_decides()
    {
        IReadOnlyList<Manifest> old = await ColoChart.TemplateAsync("1.20", "--api-versions", "monitoring.coreos.com/v1", "--api-versions", "policy/v1");
        old.Single(m => m.Kind == "PodDisruptionBudget").ApiVersion.ShouldBe("policy/v1beta1");
        IReadOnlyList<Manifest> recent = await ColoChart.TemplateAsync(
            ColoChart.Newest, "--api-versions", "admissionregistration.k8s.io/v1/ValidatingAdmissionPolicy", "--api-versions", "policy/v1beta1");
        recent.Single(m => m.Kind == "PodDisruptionBudget").ApiVersion.ShouldBe("policy/v1");
        recent.Count(m => m.Kind == "ValidatingAdmissionPolicy").ShouldBe(2);
    }

    [Fact]
    public async Task A_cluster_older_than_it_supports_is_refused() =>
        (await ColoChart.TryTemplateAsync("1.19")).Error.ShouldContain("incompatible with Kubernetes v1.19");

    [Fact]
    public async Task Every_object_says_whose_it_is()
    {
        foreach (Manifest manifest in (await ColoChart.TemplateAsync(ColoChart.Newest, ColoChart.Everything)).Where(m => m.Kind != "CustomResourceDefinition"))
        {
            JsonNode labels = manifest.Content["metadata"]!["labels"].ShouldNotBeNull(manifest.Id);
            ((string?)labels["app.kubernetes.io/name"]).ShouldBe("colo-operator", manifest.Id);
            ((string?)labels["team"]).ShouldBe("storage", manifest.Id);
            bool isClusterWide = manifest.Kind is "ClusterRole" or "ClusterRoleBinding"
                || manifest.Kind.StartsWith("ValidatingAdmissionPolicy", StringComparison.Ordinal);
            ((string?)manifest.Content["metadata"]!["namespace"]).ShouldBe(isClusterWide ? null : ColoChart.Namespace, manifest.Id);
        }
    }

    [Fact]
    public async Task The_operator_runs_without_any_right_over_its_node()
    {
        Manifest deployment = (await ColoChart.TemplateAsync(ColoChart.Newest)).Single(m => m.Kind == "Deployment");
        JsonNode pod = deployment.Spec["template"]!["spec"]!;
        ((bool)pod["securityContext"]!["runAsNonRoot"]!).ShouldBeTrue();
        ((bool)deployment.Container["securityContext"]!["readOnlyRootFilesystem"]!).ShouldBeTrue();
        pod["hostNetwork"].ShouldBeNull();
        pod["volumes"]!.AsArray().ShouldAllBe(v => v!["hostPath"] == null);
    }

    [Fact]
    public async Task An_agent_sees_of_its_node_the_network_the_pools_the_sockets_and_the_buffers_only()
    {
        Manifest daemonSet = (await ColoChart.TemplateAsync(
            ColoChart.Newest, "--set-json", """agent.pools=[{"name":"default","path":"/var/lib/colo/default"},{"name":"fast","path":"/mnt/nvme","type":"Directory"}]"""))
            .Single(m => m.Kind == "DaemonSet");
        JsonNode pod = daemonSet.Spec["template"]!["spec"]!;
        pod["volumes"]!.AsArray().Select(v => v!["hostPath"]?["path"]).Where(p => p is not null).Select(p => (string)p!)
            .ShouldBe(["/var/lib/colo/default", "/mnt/nvme", "/run/colo", "/dev/shm/colo"]);
        pod["hostPID"].ShouldBeNull();
        pod["hostIPC"].ShouldBeNull();
        JsonNode security = daemonSet.Container["securityContext"]!;
        security["privileged"].ShouldBeNull();
        ((string?)security["capabilities"]!["drop"]![0]).ShouldBe("ALL");
        security["capabilities"]!["add"].ShouldBeNull();
        daemonSet.Arguments.ShouldContain("--pool=fast=/mnt/nvme");

        // A message of the agent names paths: they must be those of the node.
        foreach (JsonNode? mount in daemonSet.Container["volumeMounts"]!.AsArray())
        {
            JsonNode volume = pod["volumes"]!.AsArray().Single(v => (string)v!["name"]! == (string)mount!["name"]!)!;
            if (volume["hostPath"] is { } hostPath)
            {
                ((string)mount!["mountPath"]!).ShouldBe((string)hostPath["path"]!);
            }
        }
    }

    [Fact]
    public async Task Agents_are_upgraded_one_by_one_and_stay_on_cordoned_nodes()
    {
        Manifest daemonSet = (await ColoChart.TemplateAsync(ColoChart.Newest)).Single(m => m.Kind == "DaemonSet");
        ((long)daemonSet.Spec["updateStrategy"]!["rollingUpdate"]!["maxUnavailable"]!).ShouldBe(1);
        JsonNode pod = daemonSet.Spec["template"]!["spec"]!;
        JsonNode toleration = pod["tolerations"]!.AsArray().ShouldHaveSingleItem()!;
        toleration.ToJsonString().ShouldBe("""{"operator":"Exists"}""");
        ((string?)pod["priorityClassName"]).ShouldBe("system-node-critical");
    }

    [Fact]
    public async Task Buffers_in_an_emptyDir_are_bounded()
    {
        Manifest daemonSet = (await ColoChart.TemplateAsync(ColoChart.Newest, "--set", "agent.memoryBuffer.type=emptyDir", "--set", "agent.memoryBuffer.sizeLimit=1Gi"))
            .Single(m => m.Kind == "DaemonSet");
        daemonSet.Spec["template"]!["spec"]!["volumes"]!.AsArray().Single(v => (string)v!["name"]! == "memory-buffers")!["emptyDir"]!
            .ToJsonString().ShouldBe("""{"medium":"Memory","sizeLimit":"1Gi"}""");
    }

    [Fact]
    public async Task A_digest_wins_over_a_tag()
    {
        string digest = "sha256:" + new string('a', 64);
        IReadOnlyList<Manifest> manifests = await ColoChart.TemplateAsync(
            ColoChart.Newest, "--set", "image.repository=registry.example/x/colo", "--set", "image.tag=v7", "--set", $"image.digest.agent={digest}");
        ((string?)manifests.Single(m => m.Kind == "Deployment").Container["image"]).ShouldBe("registry.example/x/colo-operator:v7");
        ((string?)manifests.Single(m => m.Kind == "DaemonSet").Container["image"]).ShouldBe($"registry.example/x/colo-agent@{digest}");
    }

    [Theory]
    [InlineData("1.29", "crds")]
    [InlineData("1.28", "crds/without-rules")]
    public async Task The_CRD_is_that_of_the_repository_and_outlives_the_release(string kubeVersion, string folder)
    {
        Manifest rendered = (await ColoChart.TemplateAsync(kubeVersion)).Single(m => m.Kind == "CustomResourceDefinition");
        Manifest source = Manifest.Parse(await File.ReadAllTextAsync(Path.Combine(
            Testing.Local.Built.Repository, folder, "colo.dev_replicatedvolumes.yaml"))).ShouldHaveSingleItem();
        ((string?)rendered.Content["metadata"]!["annotations"]!["helm.sh/resource-policy"]).ShouldBe("keep");
        JsonNode.DeepEquals(rendered.Spec, source.Spec).ShouldBeTrue();
        (await ColoChart.TemplateAsync(ColoChart.Newest, "--set", "crds.install=false")).ShouldNotContain(m => m.Kind == "CustomResourceDefinition");
    }

    [Theory]
    [InlineData("none", 0, 0)]
    [InlineData("selfSigned", 2, 0)]
    [InlineData("certManager", 0, 3)]
    public async Task Certificates_come_from_where_it_is_told(string mode, int secrets, int certificates)
    {
        IReadOnlyList<Manifest> manifests = await ColoChart.TemplateAsync(ColoChart.Newest, "--set", $"tls.mode={mode}");
        manifests.Count(m => m.Kind == "Secret").ShouldBe(secrets);
        manifests.Count(m => m.Kind == "Certificate").ShouldBe(certificates);
        bool isOn = mode != "none";
        manifests.Single(m => m.Kind == "DaemonSet").Arguments.Any(a => a.StartsWith("--tls-", StringComparison.Ordinal)).ShouldBe(isOn);
        manifests.Single(m => m.Kind == "Deployment").Arguments.Any(a => a.StartsWith("--tls-", StringComparison.Ordinal)).ShouldBe(isOn);
    }

    [Fact]
    public async Task An_issuer_of_ones_own_makes_both_certificates()
    {
        IReadOnlyList<Manifest> manifests = await ColoChart.TemplateAsync(
            ColoChart.Newest, "--set", "tls.mode=certManager", "--set", "tls.issuerRef.name=corp", "--set", "tls.issuerRef.kind=ClusterIssuer");
        manifests.ShouldNotContain(m => m.Kind == "Issuer");
        Manifest[] certificates = [.. manifests.Where(m => m.Kind == "Certificate")];
        certificates.Select(c => (string)c.Spec["dnsNames"]![0]!).ShouldBe(["colo-operator", "colo-agent"]);
        certificates.ShouldAllBe(c => (string)c.Spec["issuerRef"]!["name"]! == "corp");
    }

    [Fact]
    public async Task Guests_over_TCP_are_switched_on_at_the_agents_and_at_the_operator_and_show_certificates()
    {
        IReadOnlyList<Manifest> manifests = await ColoChart.TemplateAsync(ColoChart.Newest, "--set", "agent.guestTcp.enabled=true");
        manifests.Single(m => m.Kind == "Deployment").Arguments.ShouldContain("--guest-tcp=true");
        manifests.Single(m => m.Kind == "DaemonSet").Arguments.ShouldContain("--guest-listen=0.0.0.0:9542");
        manifests.Single(m => m.Kind == "DaemonSet").Arguments.ShouldContain("--guest-tls=auto");
        IReadOnlyList<Manifest> without = await ColoChart.TemplateAsync(ColoChart.Newest);
        without.Single(m => m.Kind == "Deployment").Arguments.ShouldNotContain(a => a.StartsWith("--guest-tcp", StringComparison.Ordinal));
        without.Single(m => m.Kind == "DaemonSet").Arguments.ShouldNotContain(a => a.StartsWith("--guest-listen", StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_guests_socket_belongs_to_the_group_of_KubeVirts_QEMU_without_a_capability()
    {
        Manifest daemonSet = (await ColoChart.TemplateAsync(ColoChart.Newest)).Single(m => m.Kind == "DaemonSet");
        daemonSet.Arguments.ShouldContain("--guest-socket-group=107");
        daemonSet.Arguments.ShouldContain("--guest-socket-mode=0660");
        daemonSet.Spec["template"]!["spec"]!["securityContext"]!["supplementalGroups"]!.ToJsonString().ShouldBe("[107]");

        Manifest rootOnly = (await ColoChart.TemplateAsync(ColoChart.Newest, "--set", "agent.guestSocket.group=null")).Single(m => m.Kind == "DaemonSet");
        rootOnly.Arguments.ShouldNotContain(a => a.StartsWith("--guest-socket-group", StringComparison.Ordinal));
        rootOnly.Spec["template"]!["spec"]!["securityContext"]!["supplementalGroups"].ShouldBeNull();
    }

    [Fact]
    public async Task By_default_each_nodes_agent_asks_for_a_certificate_of_its_own_and_none_is_shared()
    {
        IReadOnlyList<Manifest> manifests = await ColoChart.TemplateAsync(ColoChart.Newest);
        Manifest daemonSet = manifests.Single(m => m.Kind == "DaemonSet"), deployment = manifests.Single(m => m.Kind == "Deployment");
        daemonSet.Arguments.ShouldContain("--tls-signer=colo.dev/agent");
        daemonSet.Arguments.ShouldContain("--tls-node-names-required=true");
        deployment.Arguments.ShouldContain("--signing-key-file=/etc/colo/authority/tls.key");
        deployment.Arguments.ShouldContain("--tls-node-names-required=true");
        manifests.Where(m => m.Kind == "Secret").Select(m => m.Id).Order(StringComparer.Ordinal)
            .ShouldBe(["Secret/colo-operator-ca", "Secret/colo-operator-operator-tls"]);
        daemonSet.Spec["template"]!["spec"]!["volumes"]!.ToJsonString().ShouldNotContain("\"secret\"");
    }

    [Fact]
    public async Task Certificates_of_the_nodes_own_are_taken_from_the_node_and_required_by_all()
    {
        IReadOnlyList<Manifest> manifests = await ColoChart.TemplateAsync(ColoChart.Newest, "--set", "tls.agentHostPath=/etc/pki/colo");
        Manifest daemonSet = manifests.Single(m => m.Kind == "DaemonSet");
        daemonSet.Spec["template"]!["spec"]!["volumes"]!.AsArray().Single(v => (string)v!["name"]! == "tls")!["hostPath"]!
            .ToJsonString().ShouldBe("""{"path":"/etc/pki/colo","type":"Directory"}""");
        daemonSet.Arguments.ShouldContain("--tls-node-names-required=true");
        manifests.Single(m => m.Kind == "Deployment").Arguments.ShouldContain("--tls-node-names-required=true");
    }

    [Fact]
    public async Task An_alert_that_is_switched_off_is_left_out()
    {
        Manifest rule = (await ColoChart.TemplateAsync(
            ColoChart.Newest, "--set", "monitoring.prometheusRule.enabled=true", "--set", "monitoring.prometheusRule.disabled={ColoCheckpointTooOld}"))
            .Single(m => m.Kind == "PrometheusRule");
        string[] alerts = [.. rule.Spec["groups"]!.AsArray().SelectMany(g => g!["rules"]!.AsArray()).Select(r => (string)r!["alert"]!)];
        alerts.Length.ShouldBe(9);
        alerts.ShouldNotContain("ColoCheckpointTooOld");
    }
}
