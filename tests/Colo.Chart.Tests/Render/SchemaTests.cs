using System.Text.Json.Nodes;
using Colo.Testing;
using YamlDotNet.RepresentationModel;

namespace Colo.Chart.Tests.Render;

/// <summary>values.schema.json: a wrong value is refused before anything is installed, and the message names it.</summary>
public sealed class SchemaTests
{
    [Theory]
    [InlineData("image.pullPolicy", "Sometimes")]
    [InlineData("image.digest.agent", "latest")]
    [InlineData("image.tag", "a b")]
    [InlineData("operator.replicas", "-1")]
    [InlineData("operator.replicas", "two")]
    [InlineData("operator.workers", "0")]
    [InlineData("operator.port", "70000")]
    [InlineData("operator.leaderLease", "6")]
    [InlineData("operator.logFormat", "xml")]
    [InlineData("operator.resources.requests", "1")]
    [InlineData("agent.listenAddress", "localhost")]
    [InlineData("agent.ports.grpc", "0")]
    [InlineData("agent.runDirectory", "run/colo")]
    [InlineData("agent.runDirectory", "/a/directory/so/long/that/no/socket/fits")]
    [InlineData("agent.memoryBuffer.type", "disk")]
    [InlineData("agent.memoryBuffer.sizeLimit", "much")]
    [InlineData("agent.updateStrategy.maxUnavailable", "2")]
    [InlineData("agent.terminationGracePeriodSeconds", "5")]
    [InlineData("tls.mode", "off")]
    [InlineData("tls.selfSigned.caDays", "0")]
    [InlineData("monitoring.podMonitor.enabled", "maybe")]
    [InlineData("monitoring.podMonitor.interval", "often")]
    [InlineData("crds.install", "1")]
    [InlineData("podDisruptionBudget.maxUnavailable", "0")]
    [InlineData("priorityClassName", "Not A Name")]
    public async Task A_wrong_value_is_refused_by_name(string key, string value)
    {
        ToolResult refused = await ColoChart.TryTemplateAsync(ColoChart.Newest, "--set", $"{key}={value}");
        refused.ExitCode.ShouldNotBe(0);
        refused.Error.ShouldContain("values don't meet the specifications of the schema");
        refused.Error.ShouldContain(key.Replace('.', '/'));
    }

    [Theory]
    [InlineData("operater.replicas=3", "operater")]
    [InlineData("agent.pool=x", "pool")]
    [InlineData("tls.issuer=x", "issuer")]
    [InlineData("monitoring.prometheusRule.disabled={ColoNoSuchAlert}", "monitoring/prometheusRule/disabled/0")]
    [InlineData("agent.pools=", "agent/pools")]
    [InlineData("agent.pools[0].name=Default,agent.pools[0].path=/x", "agent/pools/0/name")]
    [InlineData("agent.pools[0].name=a,agent.pools[0].path=relative", "agent/pools/0/path")]
    [InlineData("agent.tolerations[0].operator=Sometimes", "agent/tolerations/0/operator")]
    [InlineData("agent.extraArgs={max-volumes}", "agent/extraArgs/0")]
    [InlineData("tls.issuerRef.kind=ClusterIssuer", "tls/issuerRef")]
    public async Task A_key_that_does_not_exist_and_a_list_that_is_wrong_are_refused(string setting, string named)
    {
        ToolResult refused = await ColoChart.TryTemplateAsync(ColoChart.Newest, "--set", setting);
        refused.ExitCode.ShouldNotBe(0);
        refused.Error.ShouldContain(named);
    }

    [Fact]
    public async Task Every_value_has_a_schema_and_every_schema_a_default()
    {
        YamlStream values = new();
        values.Load(new StringReader(await File.ReadAllTextAsync(Path.Combine(ColoChart.Folder, "values.yaml"))));
        JsonObject schema = (JsonObject)JsonNode.Parse(await File.ReadAllTextAsync(Path.Combine(ColoChart.Folder, "values.schema.json")))!;
        List<string> differences = [];
        Compare((JsonObject)Manifest.ToJson(values.Documents[0].RootNode)!, schema, schema, "", differences);
        differences.ShouldBe(["/global: no default"]);
    }

    private static void Compare(JsonObject values, JsonObject schema, JsonObject root, string path, List<string> differences)
    {
        if (schema["$ref"] is { } reference)
        {
            schema = (JsonObject)root["definitions"]![((string)reference!).Split('/')[^1]]!;
        }

        if (schema["properties"] is not JsonObject properties || path.EndsWith("/resources", StringComparison.Ordinal) || path == "/tls/issuerRef")
        {
            return;
        }

        ((bool)schema["additionalProperties"]!).ShouldBeFalse(path);
        differences.AddRange(values.Select(v => v.Key).Except(properties.Select(p => p.Key)).Select(k => $"{path}/{k}: no schema"));
        differences.AddRange(properties.Select(p => p.Key).Except(values.Select(v => v.Key)).Select(k => $"{path}/{k}: no default"));
        foreach ((string key, JsonNode? value) in values)
        {
            if (value is JsonObject child && properties[key] is JsonObject childSchema)
            {
                Compare(child, childSchema, root, $"{path}/{key}", differences);
            }
        }
    }
}
