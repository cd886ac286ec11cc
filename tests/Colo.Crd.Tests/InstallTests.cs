using System.Text.Json.Nodes;
using Colo.Testing;

namespace Colo.Crd.Tests;

public sealed class InstallTests(CrdFixture crd)
{
    [Fact]
    public async Task The_CRD_is_established_and_its_schema_is_structural()
    {
        JsonNode installed = await crd.Admin.JsonAsync("get", "crd", "replicatedvolumes.colo.dev");
        Dictionary<string, string> conditions = installed["status"]!["conditions"]!.AsArray()
            .ToDictionary(c => (string)c!["type"]!, c => (string)c!["status"]!, StringComparer.Ordinal);
        conditions["Established"].ShouldBe("True");
        conditions["NamesAccepted"].ShouldBe("True");

        // The server sets this condition only where something is wrong.
        conditions.ShouldNotContainKey("NonStructuralSchema");
    }

    /// <summary>Why there are two files.</summary>
    [Fact]
    public async Task The_file_with_rules_is_for_servers_that_know_them_and_kubectl_says_so_to_others()
    {
        ToolResult applied = await crd.Admin.RunAsync("apply", "--dry-run=server", "-f", CrdFixture.File(withRules: true));
        if (crd.ServerKnowsRules)
        {
            applied.EnsureSuccess();
        }
        else
        {
            applied.ExitCode.ShouldNotBe(0);
            applied.Error.ShouldContain("x-kubernetes-validations");
        }
    }

    [Theory]
    [InlineData("rvol")]
    [InlineData("replicatedvolume")]
    [InlineData("replicatedvolumes.v1alpha1.colo.dev")]
    [InlineData("colo")]
    public async Task It_answers_to_its_names_and_its_category(string name)
    {
        string space = await crd.NewNamespaceAsync();
        await crd.CreateAsync(space, Given.Volume("{'size': '1Gi'}"));
        (await crd.Admin.OutputAsync("get", name, "-n", space, "-o", "name")).Trim().ShouldBe("replicatedvolume.colo.dev/disk");
    }

    [Theory]
    [InlineData("rvol", "A disk of a virtual machine that is kept on two nodes")]
    [InlineData("rvol.spec", "It may grow, never shrink")]
    [InlineData("rvol.spec.size", "a multiple of 4Ki")]
    [InlineData("rvol.spec.failover.heartbeatTimeout", "silent, by the observer's own clock")]
    [InlineData("rvol.spec.mode", "MicroCheckpoint: VM state is saved")]
    [InlineData("rvol.status.conditions.reason", "One word in CamelCase for programs")]
    [InlineData("rvol.status.replicas", "Whether it holds every acknowledged write")]
    public async Task Explain_shows_the_doc_comments(string field, string says)
    {
        string text = await crd.Admin.OutputAsync("explain", field, "--api-version=colo.dev/v1alpha1");
        string.Join(' ', text.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries)).ShouldContain(says);
    }
}
