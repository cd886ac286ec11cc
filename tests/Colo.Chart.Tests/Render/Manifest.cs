using System.Globalization;
using System.Text.Json.Nodes;
using YamlDotNet.Core;
using YamlDotNet.RepresentationModel;

namespace Colo.Chart.Tests.Render;

/// <summary>One object of Kubernetes as YAML says it.</summary>
internal sealed record Manifest(JsonObject Content)
{
    public string ApiVersion => (string)Content["apiVersion"]!;

    public string Kind => (string)Content["kind"]!;

    public string Name => (string)Content["metadata"]!["name"]!;

    public JsonNode Spec => Content["spec"]!;

    public string Id => $"{Kind}/{Name}";

    /// <summary>The only container of its pods.</summary>
    public JsonNode Container => Spec["template"]!["spec"]!["containers"]!.AsArray().ShouldHaveSingleItem()!;

    public string[] Arguments => [.. Container["args"]!.AsArray().Select(a => (string)a!)];

    public static IReadOnlyList<Manifest> Parse(string yaml)
    {
        YamlStream stream = new();
        stream.Load(new StringReader(yaml));
        return
        [
            .. stream.Documents.Select(d => ToJson(d.RootNode)).OfType<JsonObject>()
                .SelectMany(o => (string?)o["kind"] == "List" ? o["items"]!.AsArray().Select(i => (JsonObject)i!.DeepClone()) : [o])
                .Select(o => new Manifest(o)),
        ];
    }

    public static JsonNode? ToJson(YamlNode node) => node switch
    {
        YamlMappingNode map => new JsonObject(map.Children.Select(c => KeyValuePair.Create(((YamlScalarNode)c.Key).Value!, ToJson(c.Value)))),
        YamlSequenceNode list => new JsonArray([.. list.Children.Select(ToJson)]),
        YamlScalarNode { Style: ScalarStyle.Plain, Value: var text } => Plain(text ?? ""),
        YamlScalarNode scalar => JsonValue.Create(scalar.Value),
        _ => throw new InvalidDataException($"no JSON for {node.NodeType}"),
    };

    private static JsonValue? Plain(string text) => text switch
    {
        "" or "~" or "null" => null,
        "true" => JsonValue.Create(true),
        "false" => JsonValue.Create(false),
        _ when long.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out long number) => JsonValue.Create(number),
        _ => JsonValue.Create(text),
    };
}
