using System.Text.Json.Nodes;
using Colo.Testing;

namespace Colo.Crd.Tests;

public sealed class ServerSideApplyTests(CrdFixture crd)
{
    [Fact]
    public async Task Two_managers_share_a_volume_and_a_conflict_names_the_field_and_the_other()
    {
        string space = await crd.NewNamespaceAsync();
        await ApplyAsync("platform", space, "size: 1Gi, failover: {policy: Automatic}");

        // Another field of the same section: both are kept.
        await ApplyAsync("team", space, "size: 1Gi, failover: {heartbeatTimeout: 5s}");
        JsonNode spec = (await crd.Admin.JsonAsync("get", "rvol", "disk", "-n", space))["spec"]!;
        spec["failover"]!["policy"]!.GetValue<string>().ShouldBe("Automatic");
        spec["failover"]!["heartbeatTimeout"]!.GetValue<string>().ShouldBe("5s");

        ToolResult conflict = await TryApplyAsync("team", space, "size: 1Gi, failover: {policy: Manual, heartbeatTimeout: 5s}");
        conflict.ExitCode.ShouldNotBe(0);
        conflict.Error.ShouldContain("conflict with \"platform\"");
        conflict.Error.ShouldContain(".spec.failover.policy");

        (await TryApplyAsync("team", space, "size: 1Gi, failover: {policy: Manual, heartbeatTimeout: 5s}", "--force-conflicts")).EnsureSuccess();
        (await crd.Admin.JsonAsync("get", "rvol", "disk", "-n", space))["spec"]!["failover"]!["policy"]!.GetValue<string>().ShouldBe("Manual");
    }

    [Fact]
    public async Task Conditions_of_two_writers_are_merged_by_type()
    {
        string space = await crd.NewNamespaceAsync();
        await ApplyAsync("user", space, "size: 1Gi");
        foreach ((string writer, string type) in (IEnumerable<(string, string)>)[("one", "Ready"), ("two", "Protected")])
        {
            (await crd.Kube.Server.SendAsync(
                HttpMethod.Patch,
                $"/apis/colo.dev/v1alpha1/namespaces/{space}/replicatedvolumes/disk/status?fieldManager={writer}",
                JsonNode.Parse($$$"""{"apiVersion": "colo.dev/v1alpha1", "kind": "ReplicatedVolume", "status": {"conditions": [{"type": "{{{type}}}", "status": "True", "reason": "x"}]}}"""),
                "application/apply-patch+yaml")).IsSuccess.ShouldBeTrue();
        }

        JsonNode volume = (await crd.GetAsync(space, "disk")).Body;
        volume["status"]!["conditions"]!.AsArray().Select(c => (string)c!["type"]!).ShouldBe(["Ready", "Protected"], ignoreOrder: true);
    }

    private async Task ApplyAsync(string manager, string space, string spec) => (await TryApplyAsync(manager, space, spec)).EnsureSuccess();

    private Task<ToolResult> TryApplyAsync(string manager, string space, string spec, params string[] more) => crd.Admin.RunWithInputAsync(
        $$$"""{apiVersion: colo.dev/v1alpha1, kind: ReplicatedVolume, metadata: {name: disk, namespace: {{{space}}}}, spec: {{{{spec}}}}}""",
        ["apply", "--server-side", "--field-manager=" + manager, "-f", "-", .. more]);
}
