using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Json.Serialization;
using YamlDotNet.RepresentationModel;

namespace Colo.Api;

/// <summary>How API objects are written: camelCase, enums by name, nothing for what is not set; YAML is the same tree.</summary>
public static class VolumeDocument
{
    public static JsonSerializerOptions JsonOptions { get; } = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.CamelCase,
        DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
        Converters = { new JsonStringEnumConverter() },
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
        WriteIndented = true,
        IndentSize = 2,
        RespectRequiredConstructorParameters = true,
    };

    public static string ToJson<T>(T value) => JsonSerializer.Serialize(value, JsonOptions);

    /// <exception cref="JsonException">not such an object.</exception>
    public static T FromJson<T>(string json) =>
        JsonSerializer.Deserialize<T>(json, JsonOptions) ?? throw new JsonException($"null is not a {typeof(T).Name}");

    public static string ToYaml<T>(T value)
    {
        YamlNode root = ToYamlNode(JsonSerializer.SerializeToNode(value, JsonOptions));
        using StringWriter text = new() { NewLine = "\n" };
        new YamlStream(new YamlDocument(root)).Save(text, assignAnchors: false);

        // YamlStream ends each document with the "..." marker, which a single document does not need.
        string yaml = text.ToString();
        return yaml.EndsWith("...\n", StringComparison.Ordinal) ? yaml[..^4] : yaml;
    }

    private static YamlNode ToYamlNode(JsonNode? node) => node switch
    {
        JsonObject map => new YamlMappingNode(map.Select(p => KeyValuePair.Create<YamlNode, YamlNode>(new YamlScalarNode(p.Key), ToYamlNode(p.Value)))),
        JsonArray list => new YamlSequenceNode(list.Select(ToYamlNode)),
        null => new YamlScalarNode("null"),
        _ => Scalar(node.AsValue()),
    };

    private static YamlScalarNode Scalar(JsonValue value)
    {
        YamlScalarNode scalar = new(value.ToString());
        if (value.GetValueKind() == JsonValueKind.String)
        {
            // A string that reads as another type must keep its quotes.
            string text = value.GetValue<string>();
            if (text.Length == 0 || text is "true" or "false" or "True" or "False" or "null" or "~" || char.IsAsciiDigit(text[0]) || text[0] is '-' or '.' or '+')
            {
                scalar.Style = YamlDotNet.Core.ScalarStyle.DoubleQuoted;
            }
        }
        else
        {
            scalar = new(value.ToJsonString());
        }

        return scalar;
    }
}
