using System.Reflection;
using System.Runtime.CompilerServices;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Json.Serialization;

namespace Colo.Kubernetes.Crd;

/// <summary>
/// A structural schema out of a class as System.Text.Json writes it. A property that is <c>required</c> is required; one that is not
/// nullable has its initial value as default; a nullable one may be left out. No field is <c>nullable</c>: a null is dropped by the
/// API server before anything is checked, so that absent is the only way to say nothing and CEL's <c>has</c> is enough.
/// </summary>
internal sealed class SchemaBuilder(CrdVersion version, JsonSerializerOptions json, IReadOnlyDictionary<Type, CrdScalar> scalars)
{
    private static readonly string[] EveryObjectHas = ["apiVersion", "kind", "metadata"];

    private readonly NullabilityInfoContext nullability = new();
    private readonly HashSet<string> paths = new(StringComparer.Ordinal);

    /// <exception cref="InvalidOperationException">a keyword, a rule or a column names a field that the type has not; a type with no schema.</exception>
    public JsonObject Build()
    {
        JsonObject root = Object(version.Type, "");
        JsonObject properties = (JsonObject)root["properties"]!;
        properties.Insert(0, "apiVersion", new JsonObject { ["description"] = "Group and version of this form of the object.", ["type"] = "string" });
        properties.Insert(1, "kind", new JsonObject { ["description"] = "The kind of the object.", ["type"] = "string" });
        properties.Insert(2, "metadata", Metadata());
        RefuseUnknownPaths();
        return root;
    }

    private JsonObject Metadata()
    {
        // Of metadata a schema may say something about the name alone.
        JsonObject metadata = new() { ["type"] = "object" };
        paths.Add("metadata.name");
        if (version.Keywords.TryGetValue("metadata.name", out JsonObject? name))
        {
            JsonObject schema = new() { ["type"] = "string" };
            Merge(schema, name);
            metadata["properties"] = new JsonObject { ["name"] = schema };
        }

        return metadata;
    }

    private JsonObject Of(Type declared, NullabilityInfo? info, string path)
    {
        paths.Add(path);
        Type type = Nullable.GetUnderlyingType(declared) ?? declared;
        JsonObject schema = Shape(type, info, path);
        if (version.Keywords.TryGetValue(path, out JsonObject? keywords))
        {
            Merge(schema, keywords);
        }

        return schema;
    }

    private JsonObject Shape(Type type, NullabilityInfo? info, string path)
    {
        if (scalars.TryGetValue(type, out CrdScalar? known))
        {
            JsonObject scalar = (JsonObject)known.Shape.DeepClone();
            Merge(scalar, IsInput(path) ? known.Bounds : []);
            return scalar;
        }

        if (type.IsEnum)
        {
            return new() { ["type"] = "string", ["enum"] = new JsonArray([.. Enum.GetNames(type).Select(n => (JsonNode)n)]) };
        }

        if (MapValue(type) is { } value)
        {
            return new() { ["type"] = "object", ["additionalProperties"] = Of(value, info?.GenericTypeArguments.ElementAtOrDefault(1), path + "{}") };
        }

        if (ListItem(type) is { } item)
        {
            return new() { ["type"] = "array", ["items"] = Of(item, info?.GenericTypeArguments.ElementAtOrDefault(0), path + "[]") };
        }

        return Type.GetTypeCode(type) switch
        {
            TypeCode.String => new() { ["type"] = "string" },
            TypeCode.Boolean => new() { ["type"] = "boolean" },
            TypeCode.Int32 => new() { ["type"] = "integer", ["format"] = "int32" },
            TypeCode.Int64 => new() { ["type"] = "integer", ["format"] = "int64" },
            TypeCode.Double => new() { ["type"] = "number", ["format"] = "double" },
            _ when type == typeof(DateTimeOffset) || type == typeof(DateTime) => new() { ["type"] = "string", ["format"] = "date-time" },
            _ when type.IsClass && type != typeof(object) => Object(type, path),
            _ => throw new InvalidOperationException($"{path}: {type} has no schema; describe it as a scalar"),
        };
    }

    private JsonObject Object(Type type, string path)
    {
        JsonObject properties = [];
        JsonArray required = [];
        object? fresh = IsInput(path) ? Activator.CreateInstance(type) : null;
        foreach (PropertyInfo property in type.GetProperties(BindingFlags.Public | BindingFlags.Instance))
        {
            string name = NameOf(property);
            if (property.SetMethod is null || property.GetCustomAttribute<JsonIgnoreAttribute>() is { Condition: JsonIgnoreCondition.Always } ||
                (path.Length == 0 && EveryObjectHas.Contains(name, StringComparer.Ordinal)))
            {
                continue;
            }

            string at = path.Length == 0 ? name : $"{path}.{name}";
            NullabilityInfo info = nullability.Create(property);
            JsonObject schema = Of(property.PropertyType, info, at);
            bool isRequired = property.GetCustomAttribute<RequiredMemberAttribute>() is not null;
            if (isRequired)
            {
                required.Add(name);
            }
            else if (IsInput(at) && info.ReadState != NullabilityState.Nullable)
            {
                fresh ??= Activator.CreateInstance(type);
                AddDefault(schema, property, property.GetValue(fresh), at);
            }

            if (XmlDocumentation.Of(property) is { } description)
            {
                // What the field is for says more than what its class is.
                schema.Remove("description");
                schema.Insert(0, "description", description);
            }

            properties[name] = schema;
        }

        JsonObject written = [];
        if (XmlDocumentation.Of(type) is { } text)
        {
            written["description"] = text;
        }

        written["type"] = "object";
        if (required.Count > 0)
        {
            written["required"] = required;
        }

        written["properties"] = properties;
        AddRules(written, path);
        return written;
    }

    /// <summary>An object's default is {}: the API server then fills in the defaults of its fields. The type must mean the same.</summary>
    private void AddDefault(JsonObject schema, PropertyInfo property, object? value, string path)
    {
        JsonNode? written = JsonSerializer.SerializeToNode(value, property.PropertyType, json);
        if (schema.ContainsKey("properties"))
        {
            JsonNode? own = JsonSerializer.SerializeToNode(Activator.CreateInstance(property.PropertyType), property.PropertyType, json);
            if (!JsonNode.DeepEquals(written, own))
            {
                throw new InvalidOperationException($"{path}: its initial value differs from a new {property.PropertyType.Name}; a schema cannot say both");
            }

            written = new JsonObject();
        }

        int at = schema.IndexOf("properties");
        schema.Insert(at < 0 ? schema.Count : at, "default", written);
    }

    private void AddRules(JsonObject schema, string path)
    {
        JsonArray rules = [];
        foreach (CrdRule rule in version.Rules.Where(r => r.Path == path))
        {
            JsonObject written = new() { ["rule"] = rule.Expression, ["message"] = rule.Message };
            if (rule.Field is { } field)
            {
                written["fieldPath"] = "." + field;
            }

            rules.Add(written);
        }

        if (rules.Count > 0)
        {
            schema["x-kubernetes-validations"] = rules;
        }
    }

    private void RefuseUnknownPaths()
    {
        IEnumerable<string> named = version.Keywords.Keys
            .Concat(version.Rules.Select(r => r.Path))
            .Concat(version.Rules.Where(r => r.Field is not null).Select(r => $"{r.Path}.{r.Field}"))
            .Concat(version.Columns.Select(c => c.JsonPath.TrimStart('.')).Where(p => !p.StartsWith("metadata.", StringComparison.Ordinal)));
        foreach (string path in named)
        {
            if (!paths.Contains(path))
            {
                throw new InvalidOperationException($"{version.Type.Name} has no field {path}");
            }
        }
    }

    private bool IsInput(string path) =>
        version.InputUnder.Any(p => path.StartsWith(p + ".", StringComparison.Ordinal));

    private string NameOf(PropertyInfo property) =>
        property.GetCustomAttribute<JsonPropertyNameAttribute>()?.Name ?? json.PropertyNamingPolicy?.ConvertName(property.Name) ?? property.Name;

    private static void Merge(JsonObject schema, JsonObject keywords)
    {
        foreach ((string keyword, JsonNode? value) in keywords)
        {
            schema[keyword] = value?.DeepClone();
        }
    }

    private static Type? MapValue(Type type) =>
        Implemented(type, typeof(IReadOnlyDictionary<,>)) is [Type key, Type value] && key == typeof(string) ? value : null;

    private static Type? ListItem(Type type) =>
        type != typeof(string) && Implemented(type, typeof(IReadOnlyList<>)) is [Type item] ? item : null;

    private static Type[]? Implemented(Type type, Type generic) =>
        type.GetInterfaces().Append(type).FirstOrDefault(i => i.IsGenericType && i.GetGenericTypeDefinition() == generic)?.GetGenericArguments();
}
