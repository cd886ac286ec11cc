using Colo.Testing;

namespace Colo.Cli.Tests;

public sealed class CommandLineTests
{
    [Theory]
    [InlineData(2, "local", "bogus")]
    [InlineData(2, "local", "failover", "--force")]
    [InlineData(2, "local", "failover", "--uid", "x")]
    [InlineData(2, "local", "wait", "--timeout", "5")]
    [InlineData(2, "local", "up", "-f", "/nowhere/volume.yaml", "--dir", "/nowhere/colo")]
    [InlineData(4, "local", "status", "--dir", "/nowhere/colo")]
    [InlineData(4, "local", "checkpoint", "--dir", "/nowhere/colo")]
    [InlineData(0, "local", "down", "--dir", "/nowhere/colo")]
    [InlineData(0, "--help")]
    public async Task The_exit_code_says_what_kind_of_outcome_it_was(int code, params string[] arguments)
    {
        ToolResult result = await LocalInstallation.ColoctlAsync(arguments);

        result.ExitCode.ShouldBe(code, result.Error);
        result.Error.ShouldNotContain("   at ");
        if (code != 0)
        {
            result.Error.ShouldStartWith("coloctl: ");
        }
    }

    [Fact]
    public async Task A_wrong_manifest_is_refused_with_every_error_and_nothing_is_started()
    {
        using TempDirectory directory = new();
        string manifest = directory.File("v.yaml");
        await File.WriteAllTextAsync(manifest, """
            apiVersion: colo.dev/v1alpha1
            kind: ReplicatedVolume
            metadata: {name: disk}
            spec:
              size: 64MB
              modus: Colo
            """);

        ToolResult result = await LocalInstallation.ColoctlAsync("local", "up", "-f", manifest, "--dir", directory.File("s"));

        result.ExitCode.ShouldBe(2);
        result.Error.ShouldContain($"{manifest}:5:9: spec.size: '64MB' is not a quantity");
        result.Error.ShouldContain($"{manifest}:6:3: spec.modus: unknown field (did you mean mode?)");
        Directory.Exists(directory.File("s")).ShouldBeFalse();
    }

    [Fact]
    public async Task A_node_that_does_not_exist_is_refused_before_anything_is_started()
    {
        using TempDirectory directory = new();
        string manifest = directory.File("v.yaml");
        await File.WriteAllTextAsync(manifest, """
            apiVersion: colo.dev/v1alpha1
            kind: ReplicatedVolume
            metadata: {name: disk}
            spec: {size: 64Mi, placement: {primaryNode: node-z}}
            """);

        ToolResult result = await LocalInstallation.ColoctlAsync("local", "up", "-f", manifest, "--dir", directory.File("s"));

        result.ExitCode.ShouldBe(2);
        result.Error.ShouldContain("'node-z' is not one of node-a, node-b");
    }
}
