using System.Text.Json;
using System.Text.Json.Serialization;
using Colo.Replication;

namespace Colo.Agent.Volumes;

/// <summary>A lineage and what is said about it, as JSON: in the state file, and between two agents. Parsed here, and trusted after.</summary>
internal static class LineageJson
{
    private const int CurrentVersion = 1;

    public static byte[] Write(LineageRecord record) => JsonSerializer.SerializeToUtf8Bytes(ToStored(record), LineageJsonContext.Default.StoredLineage);

    /// <exception cref="JsonException">not a lineage of this version or an older one.</exception>
    public static LineageRecord Read(ReadOnlySpan<byte> json) =>
        FromStored(JsonSerializer.Deserialize(json, LineageJsonContext.Default.StoredLineage) ?? throw new JsonException("null"));

    public static byte[] Write(LineageAnnouncement told) => JsonSerializer.SerializeToUtf8Bytes(
        new StoredAnnouncement(told.Term.Value, told.From.Value, told.To.Value, told.IsEqual, told.PrimaryNode, told.PrimaryWrites),
        LineageJsonContext.Default.StoredAnnouncement);

    /// <exception cref="JsonException">not an announcement.</exception>
    public static LineageAnnouncement ReadAnnouncement(ReadOnlySpan<byte> json)
    {
        StoredAnnouncement told = JsonSerializer.Deserialize(json, LineageJsonContext.Default.StoredAnnouncement) ?? throw new JsonException("null");
        return told.Term >= 1 && told.PrimaryNode is not null && told.To != Guid.Empty
            ? new(new(told.Term), new(told.From), new(told.To), told.IsEqual, told.PrimaryNode, told.PrimaryWrites)
            : throw new JsonException("an announcement names term, node and generation");
    }

    private static StoredLineage ToStored(LineageRecord of) => new()
    {
        Version = CurrentVersion,
        Term = of.Term,
        Current = of.Current.Value,
        Base = of.Base.Value,
        Target = of.Target.Value,
        History = [.. of.History.Select(id => id.Value)],
        Attached = of.Attached,
        Suspects = of.Suspects,
        AtRisk = of.AtRisk,
        Life = of.Life,
        PeerNode = of.PeerNode,
        PeerLife = of.PeerLife,
        PeerWrites = of.PeerWrites,
        Writes = of.Writes,
    };

    private static LineageRecord FromStored(StoredLineage of) => IsComplete(of)
        ? new()
        {
            Term = of.Term,
            Current = new(of.Current),
            Base = new(of.Base),
            Target = new(of.Target),
            History = [.. of.History.Select(id => new GenerationId(id))],
            Attached = of.Attached,
            Suspects = of.Suspects,
            AtRisk = of.AtRisk,
            Life = of.Life,
            PeerNode = of.PeerNode,
            PeerLife = of.PeerLife,
            PeerWrites = of.PeerWrites,
            Writes = of.Writes,
        }
        : throw new JsonException($"version {of.Version} with {of.History?.Count ?? 0} former generations, or with a part missing");

    /// <summary>What the types say and JSON does not: null is nowhere.</summary>
    private static bool IsComplete(StoredLineage of) =>
        of is { Version: >= 1 and <= CurrentVersion, Suspects: not null, AtRisk: not null, Life: not null, PeerNode: not null, PeerLife: not null }
        && of.History is { Count: <= LineageRecord.MaxHistory + 1 };
}

internal sealed record StoredLineage
{
    public required int Version { get; init; }

    public long Term { get; init; }

    public Guid Current { get; init; }

    public Guid Base { get; init; }

    public Guid Target { get; init; }

    public IReadOnlyList<Guid> History { get; init; } = [];

    public bool Attached { get; init; }

    public IReadOnlyList<int> Suspects { get; init; } = [];

    public IReadOnlyList<int> AtRisk { get; init; } = [];

    public string Life { get; init; } = "";

    public string PeerNode { get; init; } = "";

    public string PeerLife { get; init; } = "";

    public long PeerWrites { get; init; }

    public long Writes { get; init; }
}

internal sealed record StoredAnnouncement(long Term, Guid From, Guid To, bool IsEqual, string PrimaryNode, long PrimaryWrites);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase)]
[JsonSerializable(typeof(StoredLineage))]
[JsonSerializable(typeof(StoredAnnouncement))]
internal sealed partial class LineageJsonContext : JsonSerializerContext;
