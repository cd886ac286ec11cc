using System.Globalization;
using YamlDotNet.Core;
using YamlDotNet.RepresentationModel;

namespace Colo.Api.Yaml;

/// <summary>
/// One YAML mapping, taken field by field. Whatever was not taken is unknown and refused by <see cref="RefuseTheRest"/>; each
/// wrong value becomes an error with its place and what is allowed, and the field's default is used so that reading goes on.
/// </summary>
internal sealed class MappingReader
{
    private readonly string file;
    private readonly string path;
    private readonly Mark start;
    private readonly List<ManifestError> errors;
    private readonly Dictionary<string, (Mark Mark, YamlNode Value)> fields = new(StringComparer.Ordinal);
    private readonly List<string> known = [];

    public MappingReader(string file, string path, YamlNode node, List<ManifestError> errors)
    {
        this.file = file;
        this.path = path;
        this.errors = errors;
        start = node.Start;
        if (node is not YamlMappingNode mapping)
        {
            // "spec:" with nothing behind it is a null scalar: an empty mapping, as Kubernetes reads it.
            if (!IsNull(node))
            {
                Fault(node.Start, path, "must be a mapping (key: value)");
            }

            return;
        }

        foreach ((YamlNode key, YamlNode value) in mapping.Children)
        {
            fields[(key as YamlScalarNode)?.Value ?? ""] = (key.Start, value);
        }
    }

    public bool Has(string field) => fields.TryGetValue(field, out (Mark Mark, YamlNode Value) found) && !IsNull(found.Value);

    public MappingReader Mapping(string field) =>
        new(file, PathOf(field), Take(field)?.Value ?? new YamlMappingNode(), errors);

    public string Text(string field, string defaultValue) => Scalar(field)?.Value ?? defaultValue;

    public string? OptionalText(string field) => Scalar(field)?.Value;

    public string RequiredText(string field)
    {
        if (!Has(field))
        {
            known.Add(field);
            Fault(start, PathOf(field), "is required");
            return "";
        }

        return Text(field, "");
    }

    public T Choice<T>(string field, T defaultValue)
        where T : struct, Enum => OptionalChoice<T>(field) ?? defaultValue;

    public T? OptionalChoice<T>(string field)
        where T : struct, Enum
    {
        if (Scalar(field) is not { } scalar)
        {
            return null;
        }

        foreach (T value in Enum.GetValues<T>())
        {
            if (value.ToString() == scalar.Value)
            {
                return value;
            }
        }

        Fault(scalar.Start, PathOf(field), $"'{scalar.Value}' is not one of {string.Join(", ", Enum.GetNames<T>())}");
        return null;
    }

    public ByteQuantity Quantity(string field, ByteQuantity defaultValue)
    {
        if (Scalar(field) is not { } scalar)
        {
            return defaultValue;
        }

        if (ByteQuantity.TryParse(scalar.Value, out ByteQuantity quantity))
        {
            return quantity;
        }

        Fault(scalar.Start, PathOf(field), $"'{scalar.Value}' is not a quantity: {ByteQuantity.Allowed}");
        return defaultValue;
    }

    public Duration Time(string field, Duration defaultValue)
    {
        if (Scalar(field) is not { } scalar)
        {
            return defaultValue;
        }

        if (Duration.TryParse(scalar.Value, out Duration duration))
        {
            return duration;
        }

        Fault(scalar.Start, PathOf(field), $"'{scalar.Value}' is not a duration: {Duration.Allowed}");
        return defaultValue;
    }

    public long Integer(string field, long defaultValue)
    {
        if (Scalar(field) is not { } scalar)
        {
            return defaultValue;
        }

        if (long.TryParse(scalar.Value, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out long value))
        {
            return value;
        }

        Fault(scalar.Start, PathOf(field), $"'{scalar.Value}' is not a whole number");
        return defaultValue;
    }

    public IReadOnlyDictionary<string, string> TextMap(string field)
    {
        Dictionary<string, string> map = new(StringComparer.Ordinal);
        if (Take(field) is not { } found || IsNull(found.Value))
        {
            return map;
        }

        MappingReader inner = new(file, PathOf(field), found.Value, errors);
        foreach (string key in inner.fields.Keys)
        {
            map[key] = inner.Text(key, "");
        }

        return map;
    }

    /// <summary>Takes a field that this tool has no use for (status of an exported object), whatever it holds.</summary>
    public void Ignore(string field) => Take(field);

    public void RefuseTheRest()
    {
        foreach ((string field, (Mark mark, _)) in fields)
        {
            if (known.Contains(field))
            {
                continue;
            }

            string? near = known.MinBy(candidate => Distance(candidate, field));
            string hint = near is not null && Distance(near, field) <= Math.Max(2, field.Length / 3)
                ? $" (did you mean {near}?)"
                : $" (allowed here: {string.Join(", ", known)})";
            Fault(mark, PathOf(field), "unknown field" + hint);
        }
    }

    /// <summary>An error at the field itself, or at the mapping where the field is absent.</summary>
    public void FaultAt(string field, string message) =>
        Fault(fields.TryGetValue(field, out (Mark Mark, YamlNode Value) found) ? found.Value.Start : start, PathOf(field), message);

    private static bool IsNull(YamlNode node) =>
        node is YamlScalarNode { Style: ScalarStyle.Plain, Value: null or "" or "null" or "~" };

    private static int Distance(string a, string b)
    {
        // Levenshtein, case-blind: a wrong case is the commonest slip.
        int[] previous = [.. Enumerable.Range(0, b.Length + 1)];
        for (int i = 1; i <= a.Length; i++)
        {
            int[] current = new int[b.Length + 1];
            current[0] = i;
            for (int j = 1; j <= b.Length; j++)
            {
                int cost = char.ToUpperInvariant(a[i - 1]) == char.ToUpperInvariant(b[j - 1]) ? 0 : 1;
                current[j] = Math.Min(Math.Min(previous[j] + 1, current[j - 1] + 1), previous[j - 1] + cost);
            }

            previous = current;
        }

        return previous[b.Length];
    }

    private (Mark Mark, YamlNode Value)? Take(string field)
    {
        known.Add(field);
        return fields.TryGetValue(field, out (Mark Mark, YamlNode Value) found) ? found : null;
    }

    private YamlScalarNode? Scalar(string field)
    {
        if (Take(field) is not { } found || IsNull(found.Value))
        {
            return null;
        }

        if (found.Value is YamlScalarNode scalar)
        {
            return scalar;
        }

        Fault(found.Value.Start, PathOf(field), "must be a single value");
        return null;
    }

    private string PathOf(string field) => path.Length == 0 ? field : $"{path}.{field}";

    private void Fault(Mark mark, string at, string message) => errors.Add(new(file, mark.Line, mark.Column, at, message));
}
