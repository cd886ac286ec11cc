using System.Runtime.CompilerServices;
using Colo.Api;
using Colo.Api.Yaml;

namespace Colo.Control.Tests.Api;

public sealed class ManifestTests
{
    private const string Smallest = """
        apiVersion: colo.dev/v1alpha1
        kind: ReplicatedVolume
        metadata: {name: db-disk}
        spec:
          size: 20Gi
        """;

    [Fact]
    public void The_smallest_manifest_gets_every_default()
    {
        ReplicatedVolumeSpec spec = VolumeManifest.Parse(Smallest).ShouldHaveSingleItem().Spec;

        spec.Size.ShouldBe(ByteQuantity.FromGibibytes(20));
        spec.Mode.ShouldBe(VolumeMode.HighAvailability);
        spec.Checkpoint.Interval.Value.ShouldBe(TimeSpan.FromSeconds(30));
        spec.Failover.HeartbeatTimeout.Value.ShouldBe(TimeSpan.FromSeconds(3));
        spec.EffectiveRecoveryPoint.ShouldBe(RecoveryPoint.LatestWrite);
        spec.Buffer.SizeLimit.ShouldBe(ByteQuantity.FromGibibytes(2));
    }

    [Fact]
    public void A_mode_that_saves_VM_state_goes_back_to_that_state()
    {
        VolumeManifest.Parse(Smallest + "\n  mode: Colo").Single().Spec.EffectiveRecoveryPoint.ShouldBe(RecoveryPoint.LastCheckpoint);
    }

    [Theory]
    [InlineData("  mode: highAvailability", 6, "spec.mode", "'highAvailability' is not one of HighAvailability, MicroCheckpoint, Colo")]
    [InlineData("  sise: 1Gi", 6, "spec.sise", "did you mean size?")]
    [InlineData("  buffer:\n    medium: Tape", 7, "spec.buffer.medium", "not one of Memory, Disk")]
    [InlineData("  buffer: {sizeLimit: 2GB}", 6, "spec.buffer.sizeLimit", "such as 20Gi")]
    [InlineData("  buffer: {sizeLimit: 1Mi}", 6, "spec.buffer.sizeLimit", "at least 4Mi")]
    [InlineData("  checkpoint: {interval: 30}", 6, "spec.checkpoint.interval", "such as 30s")]
    [InlineData("  failover: {heartbeatTimeout: 10ms}", 6, "spec.failover.heartbeatTimeout", "from 500ms to 5m")]
    [InlineData("  failover: {police: Manual}", 6, "spec.failover.police", "did you mean policy?")]
    [InlineData("  failover: Automatic", 6, "spec.failover", "must be a mapping")]
    [InlineData("  resync: {maxBytesPerSecond: fast}", 6, "spec.resync.maxBytesPerSecond", "not a whole number")]
    [InlineData("  placement: {primaryNode: a, secondaryNode: a}", 6, "spec.placement.secondaryNode", "another node")]
    [InlineData("  source: {url: x, nbd: y}", 6, "spec.source", "at most one")]
    [InlineData("  mode: Colo\n  failover: {recoveryPoint: LatestWrite}", 7, "spec.failover.recoveryPoint", "must be LastCheckpoint")]
    public void A_wrong_field_is_named_with_its_line_and_what_is_allowed(string lines, int line, string path, string message)
    {
        ManifestError error = Refused(Smallest + "\n" + lines).ShouldHaveSingleItem();

        error.Line.ShouldBe(line);
        error.Path.ShouldBe(path);
        error.Message.ShouldContain(message);
    }

    [Fact]
    public void All_errors_of_a_file_are_told_at_once()
    {
        IReadOnlyList<ManifestError> errors = Refused("apiVersion: v1\nkind: Pod\nmetadata: {name: Up_Per}\nspec: {colour: red}\n");

        errors.Select(e => e.Path).ShouldBe(["apiVersion", "kind", "metadata.name", "spec.size", "spec.colour"], ignoreOrder: true);
    }

    [Theory]
    [InlineData("spec: [")]
    [InlineData("")]
    [InlineData("- 1\n- 2")]
    [InlineData("a: &x [*x]")]
    public void What_is_no_manifest_is_refused_and_never_crashes(string text) => Refused(text).ShouldNotBeEmpty();

    [Fact]
    public void Several_volumes_stand_in_one_file()
    {
        string two = Smallest + "\n---\n" + Smallest.Replace("db-disk", "log-disk", StringComparison.Ordinal);

        VolumeManifest.Parse(two).Select(v => v.Metadata.Name).ShouldBe(["db-disk", "log-disk"]);
        Refused(Smallest + "\n---\n" + Smallest).ShouldHaveSingleItem().Message.ShouldContain("names must differ");
    }

    [Fact]
    public void What_is_printed_as_YAML_can_be_fed_back()
    {
        ReplicatedVolume volume = VolumeManifest.Parse(Smallest).Single();

        ReplicatedVolume again = VolumeManifest.Parse(VolumeDocument.ToYaml(volume)).Single();

        VolumeDocument.ToJson(again).ShouldBe(VolumeDocument.ToJson(volume));
    }

    [Fact]
    public void JSON_of_a_volume_reads_back_as_the_same_volume()
    {
        ReplicatedVolume volume = VolumeManifest.Parse(Smallest).Single();

        VolumeDocument.ToJson(VolumeDocument.FromJson<ReplicatedVolume>(VolumeDocument.ToJson(volume))).ShouldBe(VolumeDocument.ToJson(volume));
    }

    [Fact]
    public void Every_sample_is_a_valid_manifest()
    {
        string[] samples = Directory.GetFiles(Samples(), "*.yaml");

        samples.ShouldNotBeEmpty();
        foreach (string sample in samples)
        {
            VolumeManifest.ReadFile(sample).ShouldNotBeEmpty();
        }
    }

    private static IReadOnlyList<ManifestError> Refused(string text) =>
        Should.Throw<ManifestException>(() => VolumeManifest.Parse(text, "f.yaml")).Errors;

    private static string Samples([CallerFilePath] string here = "") =>
        Path.Combine(Path.GetDirectoryName(here)!, "..", "..", "..", "config", "samples");
}
