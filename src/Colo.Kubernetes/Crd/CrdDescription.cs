using System.Text.Json.Nodes;

namespace Colo.Kubernetes.Crd;

/// <summary>
/// What a CustomResourceDefinition needs beyond the type itself. Paths name fields from the object's root as JSON spells them:
/// <c>spec.storagePool</c>, <c>status.replicas[].node</c>, <c>spec.nodeSelector{}</c> for the values of a map.
/// </summary>
public sealed record CrdDescription
{
    public required string Group { get; init; }

    public required string Kind { get; init; }

    public required string Plural { get; init; }

    public required string Singular { get; init; }

    public IReadOnlyList<string> ShortNames { get; init; } = [];

    public IReadOnlyList<string> Categories { get; init; } = [];

    /// <summary>Namespaced or Cluster.</summary>
    public string Scope { get; init; } = "Namespaced";

    public required IReadOnlyList<CrdVersion> Versions { get; init; }
}

public sealed record CrdVersion
{
    public required string Name { get; init; }

    /// <summary>The object's class: its properties other than apiVersion, kind and metadata become the schema. One named Status becomes a subresource.</summary>
    public required Type Type { get; init; }

    public bool Served { get; init; } = true;

    public bool Storage { get; init; } = true;

    public IReadOnlyList<CrdColumn> Columns { get; init; } = [];

    /// <summary>Keywords of a schema by path, added to what the type says: pattern, minimum, maxLength, x-kubernetes-list-type.</summary>
    public IReadOnlyDictionary<string, JsonObject> Keywords { get; init; } = new Dictionary<string, JsonObject>(StringComparer.Ordinal);

    public IReadOnlyList<CrdRule> Rules { get; init; } = [];

    /// <summary>
    /// What people write. There a property's initial value is the field's default, and a scalar's bounds hold; elsewhere (a status)
    /// absent means unknown, and no value is refused for its size: a report that does not arrive is worse than a strange one.
    /// </summary>
    public IReadOnlyList<string> InputUnder { get; init; } = ["spec"];
}

/// <summary>How a type of one value is written.</summary>
/// <param name="Shape">Always: type, format.</param>
/// <param name="Bounds">Where people write it: pattern, maxLength, minimum.</param>
public sealed record CrdScalar(JsonObject Shape, JsonObject Bounds);

/// <summary>A column of <c>kubectl get</c>.</summary>
/// <param name="Type">string, integer, number, boolean or date (shown as an age).</param>
/// <param name="JsonPath">From the object: <c>.status.phase</c>.</param>
/// <param name="Priority">0: always; above: with <c>-o wide</c>.</param>
public sealed record CrdColumn(string Name, string Type, string JsonPath, int Priority = 0, string? Description = null);

/// <summary>A rule in CEL; servers before 1.25 drop it.</summary>
/// <param name="Path">The object that <c>self</c> is.</param>
/// <param name="Field">The field to blame, from <paramref name="Path"/>: <c>failover.heartbeatTimeout</c>.</param>
public sealed record CrdRule(string Path, string Expression, string Message, string? Field = null);
