using System.Globalization;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;

namespace Colo.Kubernetes.Crd;

/// <summary>
/// A JSON tree as block YAML, in its own order. What could be read as anything but a string is written as a JSON string, which is YAML
/// too; lines are never folded, so that a change of one field is a change of one line.
/// </summary>
internal static partial class YamlText
{
    private static readonly JsonSerializerOptions Quoting = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    private static readonly HashSet<string> Reserved = new(["true", "false", "null", "yes", "no", "on", "off", "y", "n"], StringComparer.OrdinalIgnoreCase);

    public static string Write(JsonObject document, string comment)
    {
        StringBuilder text = new();
        foreach (string line in comment.Split('\n', StringSplitOptions.RemoveEmptyEntries))
        {
            text.Append(CultureInfo.InvariantCulture, $"# {line}\n");
        }

        WriteMap(text, document, "");
        return text.ToString();
    }

    private static void WriteMap(StringBuilder text, JsonObject map, string indent)
    {
        bool first = true;
        foreach ((string key, JsonNode? value) in map)
        {
            // The first field of a list item stands behind its dash.
            text.Append(first && text.Length >= 2 && text[^1] == ' ' && text[^2] == '-' ? "" : indent).Append(Scalar(key)).Append(':');
            first = false;
            WriteValue(text, value, indent);
        }
    }

    private static void WriteValue(StringBuilder text, JsonNode? value, string indent)
    {
        switch (value)
        {
            case JsonObject { Count: > 0 } map:
                text.Append('\n');
                WriteMap(text, map, indent + "  ");
                break;
            case JsonArray { Count: > 0 } list:
                text.Append('\n');
                foreach (JsonNode? item in list)
                {
                    text.Append(indent).Append("- ");
                    if (item is JsonObject { Count: > 0 } map)
                    {
                        WriteMap(text, map, indent + "  ");
                    }
                    else
                    {
                        text.Append(Inline(item)).Append('\n');
                    }
                }

                break;
            default:
                text.Append(' ').Append(Inline(value)).Append('\n');
                break;
        }
    }

    private static string Inline(JsonNode? value) =>
        value is JsonValue scalar && scalar.GetValueKind() == JsonValueKind.String ? Scalar(scalar.GetValue<string>()) : value?.ToJsonString(Quoting) ?? "null";

    private static string Scalar(string text) =>
        Plain().IsMatch(text) && !Reserved.Contains(text) ? text : JsonSerializer.Serialize(text, Quoting);

    /// <summary>Begins with a letter or a path's dot, no sign that YAML knows, no space at an end, nothing that could be a number or a date.</summary>
    [GeneratedRegex(@"^[.]?[A-Za-z]([-A-Za-z0-9_./;()' ,]*[-A-Za-z0-9_./;()'])?\z", RegexOptions.CultureInvariant | RegexOptions.ExplicitCapture, 1000)]
    private static partial Regex Plain();
}
