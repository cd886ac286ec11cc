using System.Text.Json;
using Colo.Api;
using Colo.Testing.Kube;

namespace Colo.Crd.Tests;

/// <summary>Changes that no volume may see. Only rules (CEL) can refuse them; older servers leave it to the operator.</summary>
public sealed class ChangeTests(CrdFixture crd)
{
    public static TheoryData<string, string, string> Forbidden => new()
    {
        { "{'size': '2Gi'}", "{'size': '1Gi'}", "size" },
        { "{'size': 8192}", "{'size': '4Ki'}", "size" },
        { "{'size': '1Gi', 'storagePool': 'fast'}", "{'storagePool': 'slow'}", "storagePool" },
        { "{'size': '1Gi', 'mode': 'Colo'}", "{'mode': 'HighAvailability'}", "mode" },
    };

    [Theory]
    [MemberData(nameof(Forbidden))]
    public async Task Only_a_rule_refuses_it_which_CEL_says_on_servers_that_know_it_and_VolumeRules_on_all(string spec, string change, string path)
    {
        string space = await crd.NewNamespaceAsync();
        KubeAnswer old = await crd.CreateAsync(space, Given.Volume(spec));
        KubeAnswer changed = await crd.PatchAsync(space, "disk", $"{{\"spec\": {change.Replace('\'', '"')}}}");
        changed.IsSuccess.ShouldBe(!crd.ServerKnowsRules, changed.Body.ToJsonString());
        if (changed.IsSuccess)
        {
            VolumeRules.Changes.Where(r => !r.Holds(Spec(old), Spec(changed))).ShouldHaveSingleItem().Path.ShouldBe(path);
        }
    }

    [Fact]
    public async Task A_volume_may_grow_and_its_settings_may_change()
    {
        string space = await crd.NewNamespaceAsync();
        KubeAnswer old = await crd.CreateAsync(space, Given.Volume("{'size': '1Gi'}"));
        KubeAnswer changed = await crd.PatchAsync(
            space, "disk", """{"spec": {"size": 2147483648, "checkpoint": {"interval": "1m"}, "placement": {"primaryNode": "node-b"}}}""");
        changed.IsSuccess.ShouldBeTrue(changed.Body.ToJsonString());
        VolumeRules.Changes.ShouldAllBe(r => r.Holds(Spec(old), Spec(changed)));
    }

    private static ReplicatedVolumeSpec Spec(KubeAnswer answer) =>
        answer.Body.Deserialize<ReplicatedVolume>(VolumeDocument.JsonOptions)!.Spec;
}
