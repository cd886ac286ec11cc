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

    /// <summary>By which entry servers of today merge what two managers apply; 1.20 keeps the keys and still takes the list as one value.</summary>
    [Theory]
    [InlineData("replicas", "node")]
    [InlineData("conditions", "type")]
    public async Task A_list_of_the_status_says_what_its_entries_are_told_apart_by(string list, string key)
    {
        JsonNode installed = await crd.Admin.JsonAsync("get", "crd", "replicatedvolumes.colo.dev");
        JsonNode schema = installed["spec"]!["versions"]![0]!["schema"]!["openAPIV3Schema"]!["properties"]!["status"]!["properties"]![list]!;
        schema["x-kubernetes-list-type"]!.GetValue<string>().ShouldBe("map");
        schema["x-kubernetes-list-map-keys"]!.AsArray().ShouldHaveSingleItem()!.GetValue<string>().ShouldBe(key);
    }

    private async Task ApplyAsync(string manager, string space, string spec) => (await TryApplyAsync(manager, space, spec)).EnsureSuccess();

    private Task<ToolResult> TryApplyAsync(string manager, string space, string spec, params string[] more) => crd.Admin.RunWithInputAsync(
        $$$"""{apiVersion: colo.dev/v1alpha1, kind: ReplicatedVolume, metadata: {name: disk, namespace: {{{space}}}}, spec: {{{{spec}}}}}""",
        ["apply", "--server-side", "--field-manager=" + manager, "-f", "-", .. more]);
}
