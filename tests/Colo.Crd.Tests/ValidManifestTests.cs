using System.Text.Json;
using System.Text.Json.Nodes;
using Colo.Api;
using Colo.Api.Yaml;
using Colo.Testing.Kube;
using Colo.Testing.Local;

namespace Colo.Crd.Tests;

/// <summary>What is right is taken, filled in with the classes' own defaults, and readable by them afterwards.</summary>
public sealed class ValidManifestTests(CrdFixture crd)
{
    public static TheoryData<string> Samples =>
        [.. Directory.EnumerateFiles(Path.Combine(Built.Repository, "config", "samples"), "*.yaml")
            .Where(f => File.ReadAllText(f).Contains("kind: " + ReplicatedVolume.KindName, StringComparison.Ordinal))
            .Select(f => Path.GetFileName(f))];

    [Theory]
    [MemberData(nameof(Samples))]
    public async Task Each_sample_is_accepted_and_means_to_the_API_server_what_it_means_to_coloctl(string sample)
    {
        string file = Path.Combine(Built.Repository, "config", "samples", sample);
        IReadOnlyList<ReplicatedVolume> read = VolumeManifest.ReadFile(file);
        foreach (string space in read.Select(v => v.Metadata.Namespace).Distinct(StringComparer.Ordinal))
        {
            await crd.Admin.ApplyAsync($"{{apiVersion: v1, kind: Namespace, metadata: {{name: {space}}}}}");
        }

        await crd.Admin.OutputAsync("apply", "-f", file);
        foreach (ReplicatedVolume volume in read)
        {
            KubeAnswer stored = await crd.GetAsync(volume.Metadata.Namespace, volume.Metadata.Name);
            VolumeDocument.ToJson(Read(stored.Body).Spec).ShouldBe(VolumeDocument.ToJson(volume.Spec));
        }
    }

    [Fact]
    public async Task The_least_volume_is_filled_in_with_the_defaults_of_the_classes()
    {
        KubeAnswer answer = await crd.CreateAsync("default", Given.Volume("{'size': '1Gi'}"), dryRun: true);
        answer.IsSuccess.ShouldBeTrue(answer.Body.ToJsonString());
        JsonNode expected = JsonSerializer.SerializeToNode(
            new ReplicatedVolumeSpec { Size = ByteQuantity.FromGibibytes(1) }, VolumeDocument.JsonOptions)!;
        JsonNode.DeepEquals(answer.Body["spec"], expected).ShouldBeTrue(answer.Body["spec"]!.ToJsonString());
    }

    [Fact]
    public async Task A_null_is_as_good_as_nothing()
    {
        KubeAnswer answer = await crd.CreateAsync("default", Given.Volume(
            "{'size': '1Gi', 'mode': null, 'buffer': null, 'failover': {'recoveryPoint': null, 'policy': null}, 'source': {'url': null}}"), dryRun: true);
        answer.IsSuccess.ShouldBeTrue(answer.Body.ToJsonString());
        VolumeDocument.ToJson(Read(answer.Body).Spec).ShouldBe(VolumeDocument.ToJson(new ReplicatedVolumeSpec { Size = ByteQuantity.FromGibibytes(1) }));
    }

    [Fact]
    public async Task Unknown_fields_are_pruned_everywhere()
    {
        JsonObject volume = Given.Volume("{'size': '1Gi', 'colour': 'red', 'buffer': {'shape': 'round'}, 'source': {'url': 'http://a/b', 'floppy': 'a'}}");
        volume["extra"] = 1;
        KubeAnswer answer = await crd.CreateAsync("default", volume, dryRun: true);
        answer.IsSuccess.ShouldBeTrue(answer.Body.ToJsonString());
        answer.Body["extra"].ShouldBeNull();
        answer.Body["spec"]!["colour"].ShouldBeNull();
        answer.Body["spec"]!["buffer"]!["shape"].ShouldBeNull();
        answer.Body["spec"]!["source"]!.AsObject().Select(p => p.Key).ShouldBe(["url"]);
    }

    /// <summary>An object that the server keeps and the operator cannot read would be in its way for ever.</summary>
    [Theory]
    [InlineData("{'size': 4096}")]
    [InlineData("{'size': 576460752303423488}")]
    [InlineData("{'size': '999999999999999999'}")]
    [InlineData("{'size': '999.999999999Pi'}")]
    [InlineData("{'size': '0.000000001Ki'}")]
    [InlineData("{'size': '999999999999.999999999M'}")]
    [InlineData("{'size': '1Gi', 'checkpoint': {'interval': '0'}}")]
    [InlineData("{'size': '1Gi', 'checkpoint': {'interval': '99999.999999h9999999m999999999s999999999999ms'}}")]
    [InlineData("{'size': '1Gi', 'checkpoint': {'interval': '99999h99999h99999h99999h'}}")]
    [InlineData("{'size': '1Gi', 'checkpoint': {'interval': '0.000001ms'}}")]
    [InlineData("{'size': '1Gi', 'resync': {'maxBytesPerSecond': 9223372036854775807}}")]
    [InlineData("{'size': '1Gi', 'placement': {'nodeSelector': {'a': ''}, 'primaryNode': 'node-1.example.com'}}")]
    public async Task What_the_schema_takes_the_classes_can_read(string spec)
    {
        KubeAnswer answer = await crd.CreateAsync("default", Given.Volume(spec), dryRun: true);
        if (!answer.IsSuccess)
        {
            crd.ServerKnowsRules.ShouldBeTrue(answer.Body.ToJsonString());
            return;
        }

        // And what they write they can read.
        string written = VolumeDocument.ToJson(Read(answer.Body));
        VolumeDocument.ToJson(VolumeDocument.FromJson<ReplicatedVolume>(written)).ShouldBe(written);
    }

    private static ReplicatedVolume Read(JsonNode volume) => volume.Deserialize<ReplicatedVolume>(VolumeDocument.JsonOptions)!;
}
