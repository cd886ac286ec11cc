using System.Text.Json;
using System.Text.Json.Nodes;

namespace Colo.Kubernetes.Crd;

/// <summary>The CustomResourceDefinition (apiextensions.k8s.io/v1) of a described type. The same input gives the same text, byte by byte.</summary>
public sealed class CrdDocument(CrdDescription description, JsonSerializerOptions json, IReadOnlyDictionary<Type, CrdScalar> scalars)
{
    /// <exception cref="InvalidOperationException">the description and the type do not fit; which field.</exception>
    public JsonObject ToJson() => new()
    {
        ["apiVersion"] = "apiextensions.k8s.io/v1",
        ["kind"] = "CustomResourceDefinition",
        ["metadata"] = new JsonObject { ["name"] = $"{description.Plural}.{description.Group}" },
        ["spec"] = new JsonObject
        {
            ["group"] = description.Group,
            ["names"] = new JsonObject
            {
                ["kind"] = description.Kind,
                ["listKind"] = description.Kind + "List",
                ["plural"] = description.Plural,
                ["singular"] = description.Singular,
                ["shortNames"] = Strings(description.ShortNames),
                ["categories"] = Strings(description.Categories),
            },
            ["scope"] = description.Scope,
            ["versions"] = new JsonArray([.. description.Versions.Select(Version)]),
        },
    };

    /// <param name="comment">Its lines come first, each behind a #.</param>
    public string ToYaml(string comment) => YamlText.Write(ToJson(), comment);

    private JsonObject Version(CrdVersion version)
    {
        JsonObject schema = new SchemaBuilder(version, json, scalars).Build();
        JsonObject written = new()
        {
            ["name"] = version.Name,
            ["served"] = version.Served,
            ["storage"] = version.Storage,
        };
        if (schema["properties"]!["status"] is not null)
        {
            written["subresources"] = new JsonObject { ["status"] = new JsonObject() };
        }

        written["additionalPrinterColumns"] = new JsonArray([.. version.Columns.Select(Column)]);
        written["schema"] = new JsonObject { ["openAPIV3Schema"] = schema };
        return written;
    }

    private static JsonObject Column(CrdColumn column)
    {
        JsonObject written = new() { ["name"] = column.Name, ["type"] = column.Type, ["jsonPath"] = column.JsonPath };
        if (column.Description is { } text)
        {
            written["description"] = text;
        }

        if (column.Priority != 0)
        {
            written["priority"] = column.Priority;
        }

        return written;
    }

    private static JsonArray Strings(IEnumerable<string> values) => new([.. values.Select(v => (JsonNode)v)]);
}
