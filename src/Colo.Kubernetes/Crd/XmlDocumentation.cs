using System.Collections.Concurrent;
using System.Reflection;
using System.Text;
using System.Text.Json;
using System.Xml.Linq;

namespace Colo.Kubernetes.Crd;

/// <summary>The summaries of doc comments as plain text, from the XML file beside the assembly, as `kubectl explain` shows them.</summary>
internal static class XmlDocumentation
{
    private static readonly ConcurrentDictionary<Assembly, IReadOnlyDictionary<string, XElement>> Files = new();

    public static string? Of(Type type) => Find(type.Assembly, "T:" + Name(type));

    /// <summary>A property without a comment is described by its type; an enum's values are described where they have comments.</summary>
    public static string? Of(PropertyInfo property)
    {
        Type type = Nullable.GetUnderlyingType(property.PropertyType) ?? property.PropertyType;
        bool isOurs = type.Assembly == property.DeclaringType!.Assembly;
        string? own = Find(property.DeclaringType.Assembly, $"P:{Name(property.DeclaringType)}.{property.Name}") ?? (isOurs ? Of(type) : null);
        if (!type.IsEnum)
        {
            return own;
        }

        StringBuilder text = new(own);
        foreach (string value in Enum.GetNames(type))
        {
            if (Find(type.Assembly, $"F:{Name(type)}.{value}") is { } meaning)
            {
                text.Append(text.Length > 0 ? " " : "").Append(value).Append(": ").Append(meaning);
            }
        }

        return text.Length > 0 ? text.ToString() : null;
    }

    private static string? Find(Assembly assembly, string member) =>
        Files.GetOrAdd(assembly, Load).TryGetValue(member, out XElement? summary) ? Text(summary) : null;

    /// <exception cref="FileNotFoundException">the assembly was built, or shipped, without its documentation: a CRD without descriptions is not ours.</exception>
    private static Dictionary<string, XElement> Load(Assembly assembly)
    {
        string path = Path.Combine(AppContext.BaseDirectory, assembly.GetName().Name + ".xml");
        return XDocument.Load(File.Exists(path) ? path : throw new FileNotFoundException($"{path} is missing: the descriptions of the CRD's fields", path))
            .Descendants("member")
            .Where(m => m.Element("summary") is not null)
            .ToDictionary(m => m.Attribute("name")!.Value, m => m.Element("summary")!, StringComparer.Ordinal);
    }

    private static string Text(XElement summary)
    {
        StringBuilder text = new();
        foreach (XNode node in summary.Nodes())
        {
            text.Append(node switch
            {
                XElement { Name.LocalName: "see" } see => Reference(see.Attribute("cref")?.Value ?? see.Attribute("langword")?.Value ?? ""),
                XElement element => element.Value,
                XText plain => plain.Value,
                _ => "",
            });
        }

        return string.Join(' ', text.ToString().Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries));
    }

    /// <summary>A property is named as JSON names it; types and enum values as they are.</summary>
    private static string Reference(string cref)
    {
        string name = cref[(cref.LastIndexOf('.') + 1)..];
        return cref.StartsWith("P:", StringComparison.Ordinal) ? JsonNamingPolicy.CamelCase.ConvertName(name) : name;
    }

    private static string Name(Type type) => type.FullName!.Replace('+', '.');
}
