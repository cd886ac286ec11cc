using System.Text.Json.Nodes;
using Colo.Operator.Crd;

namespace Colo.Crd.Tests;

/// <summary>crds/ is what the classes say, byte by byte.</summary>
public sealed class GeneratedFileTests
{
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task The_committed_file_is_what_the_classes_generate(bool withRules) =>
        (await File.ReadAllTextAsync(CrdFixture.File(withRules), TestContext.Current.CancellationToken))
            .ShouldBe(ReplicatedVolumeCrd.ToYaml(withRules), "run `make crds`");

    [Fact]
    public async Task The_two_files_differ_by_the_rules_alone()
    {
        string[] with = await File.ReadAllLinesAsync(CrdFixture.File(withRules: true), TestContext.Current.CancellationToken);
        string[] without = await File.ReadAllLinesAsync(CrdFixture.File(withRules: false), TestContext.Current.CancellationToken);
        without.Except(with, StringComparer.Ordinal).ShouldHaveSingleItem().ShouldStartWith("# Without rules");
        with.Except(without, StringComparer.Ordinal).ShouldAllBe(l =>
            l.TrimStart().StartsWith("x-kubernetes-validations:") || l.TrimStart().StartsWith("- rule:") ||
            l.TrimStart().StartsWith("message:") || l.TrimStart().StartsWith("fieldPath:"));
    }

    [Fact]
    public void Every_field_says_what_it_is_for()
    {
        JsonObject schema = (JsonObject)ReplicatedVolumeCrd.ToJson()["spec"]!["versions"]![0]!["schema"]!["openAPIV3Schema"]!;
        Undescribed(schema, "").ShouldBe([".metadata"]);
    }

    [Fact]
    public void Everything_that_a_CEL_rule_reads_has_a_bound_so_that_its_cost_does_too()
    {
        JsonNode spec = ReplicatedVolumeCrd.ToJson()["spec"]!["versions"]![0]!["schema"]!["openAPIV3Schema"]!["properties"]!["spec"]!;
        Unbounded((JsonObject)spec, "spec").ShouldBeEmpty();
    }

    private static IEnumerable<string> Undescribed(JsonObject schema, string path)
    {
        foreach ((string name, JsonNode? field) in Properties(schema))
        {
            if (field!["description"] is null)
            {
                yield return $"{path}.{name}";
            }

            JsonObject inner = (JsonObject)(field["items"] ?? field);
            foreach (string below in Undescribed(inner, $"{path}.{name}").Where(p => !p.StartsWith(".metadata.", StringComparison.Ordinal)))
            {
                yield return below;
            }
        }
    }

    private static IEnumerable<string> Unbounded(JsonObject schema, string path) => (string?)schema["type"] switch
    {
        "object" when schema["additionalProperties"] is JsonObject value =>
            (schema["maxProperties"] is null ? [path] : (string[])[]).Concat(Unbounded(value, path + "{}")),
        "object" => Properties(schema).SelectMany(p => Unbounded((JsonObject)p.Value!, $"{path}.{p.Key}")),
        "array" => schema["maxItems"] is null ? [path] : [],
        "string" => schema["maxLength"] is null && schema["enum"] is null ? [path] : [],
        _ => [],
    };

    private static JsonObject Properties(JsonObject schema) => schema["properties"] as JsonObject ?? [];
}
