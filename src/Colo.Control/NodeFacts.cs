namespace Colo.Control;

/// <summary>A storage pool of a node.</summary>
/// <param name="FreeBytes">What new replicas may still take: the smaller of what is free and of what is not promised to other replicas.</param>
public sealed record PoolFacts(long FreeBytes, bool Healthy = true);

/// <summary>What is known of a node that could hold a replica. A node that nobody lists does not exist (any more).</summary>
public sealed record NodeFacts(string Name)
{
    private static readonly Dictionary<string, string> NoLabels = [];
    private static readonly Dictionary<string, PoolFacts> NoPools = [];

    public IReadOnlyDictionary<string, string> Labels { get; init; } = NoLabels;

    public bool AgentAnswers { get; init; }

    /// <summary>False: cordoned. Keeps what it has, except the role of a primary, which moves away without loss.</summary>
    public bool Schedulable { get; init; } = true;

    /// <summary>Shall hold no replica: gets none, and a secondary moves away.</summary>
    public bool Excluded { get; init; }

    /// <summary>By name; only those that the node has.</summary>
    public IReadOnlyDictionary<string, PoolFacts> Pools { get; init; } = NoPools;

    public int Primaries { get; init; }

    public int Secondaries { get; init; }

    internal string? Label(string key) => Labels.GetValueOrDefault(key);
}
