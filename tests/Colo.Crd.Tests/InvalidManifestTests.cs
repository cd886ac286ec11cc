using System.Text.Json;
using System.Text.Json.Nodes;
using Colo.Api;
using Colo.Testing.Kube;

namespace Colo.Crd.Tests;

/// <summary>Every way to write a wrong spec, and who refuses it: the schema on any server, or a rule.</summary>
public sealed class InvalidManifestTests(CrdFixture crd)
{
    [Theory]
    [InlineData("{}", "spec.size: Required value")]
    [InlineData("{'size': 'big'}", "spec.size: Invalid value: \"big\": spec.size in body should match")]
    [InlineData("{'size': '20GB'}", "spec.size: Invalid value: \"20GB\"")]
    [InlineData("{'size': '1e9'}", "spec.size: Invalid value: \"1e9\"")]
    [InlineData("{'size': '-1Gi'}", "spec.size: Invalid value: \"-1Gi\"")]
    [InlineData("{'size': -4096}", "spec.size: Invalid value: -4096: spec.size in body should be greater than or equal to 0")]
    [InlineData("{'size': 4096.5}", "spec.size: Invalid value")]
    [InlineData("{'size': true}", "spec.size: Invalid value")]
    [InlineData("{'size': '99999999999999999999'}", "spec.size: Invalid value")]
    [InlineData("{'size': '1Gi', 'mode': 'Fast'}", "spec.mode: Unsupported value: \"Fast\": supported values: \"HighAvailability\", \"MicroCheckpoint\", \"Colo\"")]
    [InlineData("{'size': '1Gi', 'mode': 'colo'}", "spec.mode: Unsupported value: \"colo\"")]
    [InlineData("{'size': '1Gi', 'mode': ''}", "spec.mode: Unsupported value: \"\"")]
    [InlineData("{'size': '1Gi', 'mode': 1}", "spec.mode: Invalid value")]
    [InlineData("{'size': '1Gi', 'storagePool': 'Fast Disks'}", "spec.storagePool: Invalid value: \"Fast Disks\"")]
    [InlineData("{'size': '1Gi', 'storagePool': ''}", "spec.storagePool: Invalid value: \"\"")]
    [InlineData("{'size': '1Gi', 'storagePool': 'a0123456789012345678901234567890123456789012345678901234567890123'}", "spec.storagePool: ")]
    [InlineData("{'size': '1Gi', 'placement': 'node-a'}", "spec.placement: Invalid value: \"string\"")]
    [InlineData("{'size': '1Gi', 'placement': {'topologyKey': ''}}", "spec.placement.topologyKey: Invalid value: \"\"")]
    [InlineData("{'size': '1Gi', 'placement': {'topologyKey': 'no spaces'}}", "spec.placement.topologyKey: Invalid value: \"no spaces\"")]
    [InlineData("{'size': '1Gi', 'placement': {'nodeSelector': {'disk': 1}}}", "spec.placement.nodeSelector.disk: Invalid value: \"integer\"")]
    [InlineData("{'size': '1Gi', 'placement': {'nodeSelector': ['disk=ssd']}}", "spec.placement.nodeSelector: Invalid value: \"array\"")]
    [InlineData("{'size': '1Gi', 'placement': {'primaryNode': 'Node_A'}}", "spec.placement.primaryNode: Invalid value: \"Node_A\"")]
    [InlineData("{'size': '1Gi', 'placement': {'secondaryNode': 'node b'}}", "spec.placement.secondaryNode: Invalid value: \"node b\"")]
    [InlineData("{'size': '1Gi', 'buffer': {'medium': 'Tape'}}", "spec.buffer.medium: Unsupported value: \"Tape\": supported values: \"Memory\", \"Disk\"")]
    [InlineData("{'size': '1Gi', 'buffer': {'sizeLimit': 'half'}}", "spec.buffer.sizeLimit: Invalid value: \"half\"")]
    [InlineData("{'size': '1Gi', 'buffer': {'sizeLimit': -1}}", "spec.buffer.sizeLimit: Invalid value: -1")]
    [InlineData("{'size': '1Gi', 'buffer': {'onFull': 'Panic'}}", "spec.buffer.onFull: Unsupported value: \"Panic\"")]
    [InlineData("{'size': '1Gi', 'checkpoint': {'interval': '30'}}", "spec.checkpoint.interval: Invalid value: \"30\"")]
    [InlineData("{'size': '1Gi', 'checkpoint': {'interval': 30}}", "spec.checkpoint.interval: Invalid value: \"integer\"")]
    [InlineData("{'size': '1Gi', 'checkpoint': {'interval': '-3s'}}", "spec.checkpoint.interval: Invalid value: \"-3s\"")]
    [InlineData("{'size': '1Gi', 'checkpoint': {'interval': '1d'}}", "spec.checkpoint.interval: Invalid value: \"1d\"")]
    [InlineData("{'size': '1Gi', 'checkpoint': {'quiesce': 'Sync'}}", "spec.checkpoint.quiesce: Unsupported value: \"Sync\"")]
    [InlineData("{'size': '1Gi', 'failover': {'policy': 'Sometimes'}}", "spec.failover.policy: Unsupported value: \"Sometimes\"")]
    [InlineData("{'size': '1Gi', 'failover': {'recoveryPoint': 'Yesterday'}}", "spec.failover.recoveryPoint: Unsupported value: \"Yesterday\"")]
    [InlineData("{'size': '1Gi', 'failover': {'heartbeatTimeout': 'soon'}}", "spec.failover.heartbeatTimeout: Invalid value: \"soon\"")]
    [InlineData("{'size': '1Gi', 'resync': {'maxBytesPerSecond': -1}}", "spec.resync.maxBytesPerSecond: Invalid value: -1")]
    [InlineData("{'size': '1Gi', 'resync': {'maxBytesPerSecond': '1Mi'}}", "spec.resync.maxBytesPerSecond: Invalid value: \"string\"")]
    [InlineData("{'size': '1Gi', 'source': {'url': 'http://a/b', 'pvc': 'old'}}", "spec.source: Invalid value")]
    [InlineData("{'size': '1Gi', 'source': {'url': ''}}", "spec.source.url: Invalid value: \"\"")]
    public async Task The_schema_refuses_it_and_names_the_field(string spec, string says)
    {
        KubeAnswer answer = await crd.CreateAsync("default", Given.Volume(spec), dryRun: true);
        answer.IsSuccess.ShouldBeFalse(answer.Body.ToJsonString());
        answer.Causes.ShouldContain(c => c.StartsWith(says, StringComparison.Ordinal), string.Join('\n', answer.Causes));
    }

    [Theory]
    [InlineData("Disk_1")]
    [InlineData("disk.1")]
    [InlineData("a0123456789012345678901234567890123456789012345678901234567890123")]
    public async Task A_name_that_is_no_export_name_is_refused(string name)
    {
        KubeAnswer answer = await crd.CreateAsync("default", Given.Volume("{'size': '1Gi'}", name), dryRun: true);
        answer.IsSuccess.ShouldBeFalse();
        answer.Causes.ShouldContain(c => c.StartsWith("metadata.name: Invalid value", StringComparison.Ordinal), string.Join('\n', answer.Causes));
    }

    [Fact]
    public async Task A_volume_without_a_spec_is_refused()
    {
        JsonObject volume = Given.Volume("{}");
        volume.Remove("spec");
        (await crd.CreateAsync("default", volume, dryRun: true)).Causes.ShouldContain(c => c.StartsWith("spec: Required value", StringComparison.Ordinal));
    }

    /// <summary>
    /// What no schema can say is said by rules (CEL). A server before 1.29 takes these manifests; that they are refused there is the
    /// operator's work, and the rule that it asks is asked here in C#.
    /// </summary>
    [Theory]
    [MemberData(nameof(OnlyRules))]
    public async Task Only_a_rule_refuses_it_which_CEL_says_on_servers_that_know_it_and_VolumeRules_on_all(string spec, string path)
    {
        KubeAnswer answer = await crd.CreateAsync("default", Given.Volume(spec), dryRun: true);
        if (crd.ServerKnowsRules)
        {
            VolumeRule broken = VolumeRules.All.First(r => r.Path == path);
            answer.IsSuccess.ShouldBeFalse();
            answer.Body["message"]!.GetValue<string>().ShouldContain($"spec.{broken.Path}");
        }
        else
        {
            answer.IsSuccess.ShouldBeTrue(answer.Body.ToJsonString());
            Broken(answer.Body).ShouldContain(r => r.Path == path);
        }
    }

    [Fact]
    public void Every_rule_is_broken_by_one_of_these_manifests_or_said_by_the_schema_as_well()
    {
        string[] alsoInTheSchema = ["storagePool", "resync.maxBytesPerSecond", "source"];
        HashSet<VolumeRule> broken = [.. OnlyRules.SelectMany(row => VolumeRules.All.Where(r => !r.Holds(Spec(row.Data.Item1))))];
        VolumeRules.All.Except(broken).Select(r => r.Path).ShouldBe(alsoInTheSchema, ignoreOrder: true);
    }

    public static TheoryData<string, string> OnlyRules => new()
    {
        { "{'size': '0'}", "size" },
        { "{'size': 0}", "size" },
        { "{'size': '1000'}", "size" },
        { "{'size': 4097}", "size" },
        { "{'size': '1.0001Gi'}", "size" },
        { "{'size': '65Ti'}", "size" },
        { "{'size': '1Gi', 'placement': {'primaryNode': 'a', 'secondaryNode': 'a'}}", "placement.secondaryNode" },
        { "{'size': '1Gi', 'buffer': {'sizeLimit': '1Mi'}}", "buffer.sizeLimit" },
        { "{'size': '1Gi', 'buffer': {'sizeLimit': 4194303}}", "buffer.sizeLimit" },
        { "{'size': '1Gi', 'checkpoint': {'interval': '50ms'}}", "checkpoint.interval" },
        { "{'size': '1Gi', 'failover': {'heartbeatTimeout': '499ms'}}", "failover.heartbeatTimeout" },
        { "{'size': '1Gi', 'failover': {'heartbeatTimeout': '5m1s'}}", "failover.heartbeatTimeout" },
        { "{'size': '1Gi', 'mode': 'Colo', 'failover': {'recoveryPoint': 'LatestWrite'}}", "failover.recoveryPoint" },
        { "{'size': '1Gi', 'mode': 'MicroCheckpoint', 'checkpoint': {'interval': '0'}}", "checkpoint.interval" },
    };

    private static IEnumerable<VolumeRule> Broken(JsonNode volume)
    {
        ReplicatedVolumeSpec spec = volume.Deserialize<ReplicatedVolume>(VolumeDocument.JsonOptions)!.Spec;
        return VolumeRules.All.Where(r => !r.Holds(spec));
    }

    private static ReplicatedVolumeSpec Spec(string json) =>
        JsonNode.Parse(json.Replace('\'', '"')).Deserialize<ReplicatedVolumeSpec>(VolumeDocument.JsonOptions)!;
}
