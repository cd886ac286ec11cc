namespace Colo.Replication;

/// <summary>
/// Where a replica's content comes from, as its node remembers it over any crash. Small, replaced whole; the grains are in the map beside
/// it (<see cref="ILineageStore"/>).
/// </summary>
public sealed record LineageRecord
{
    /// <summary>As many former generations are remembered: enough for every outage between two full copies that anybody will compare.</summary>
    public const int MaxHistory = 16;

    public static LineageRecord Empty { get; } = new();

    /// <summary>Under which <see cref="Current"/> was begun or taken over.</summary>
    public long Term { get; init; }

    /// <summary>Of the content; None: new, or unknown.</summary>
    public GenerationId Current { get; init; }

    /// <summary>The generation since which the map holds every grain that was changed; None: no map is kept.</summary>
    public GenerationId Base { get; init; }

    /// <summary>A secondary that is being filled: the disk is a mixture of <see cref="Current"/> and this.</summary>
    public GenerationId Target { get; init; }

    /// <summary>Former values of <see cref="Current"/>, newest first.</summary>
    public IReadOnlyList<GenerationId> History { get; init; } = [];

    /// <summary>A primary that forwards, or may: what it has in flight may be on one side only. False where it is recorded that it is alone.</summary>
    public bool Attached { get; init; }

    /// <summary>Extents that may differ from the secondary since a crash of this primary.</summary>
    public IReadOnlyList<int> Suspects { get; init; } = [];

    /// <summary>Extents that differ from the secondary where that one has lost what it had answered and not flushed.</summary>
    public IReadOnlyList<int> AtRisk { get; init; } = [];

    /// <summary>Names an unbroken life of this copy: changes where answered writes may have been lost, with the machine.</summary>
    public string Life { get; init; } = "";

    /// <summary>The other replica of the last attach: its node, its life, and how far its own record had come.</summary>
    public string PeerNode { get; init; } = "";

    public string PeerLife { get; init; } = "";

    public long PeerWrites { get; init; }

    /// <summary>How often this record was written: one that is put back from an old copy has fewer than its peer remembers.</summary>
    public long Writes { get; init; }

    /// <summary>Begins a generation; the former one becomes history.</summary>
    internal LineageRecord Begin(GenerationId next) => Current == next ? this : this with { Current = next, History = WithCurrent() };

    private IReadOnlyList<GenerationId> WithCurrent() =>
        Current.IsNone ? History : [Current, .. History.Where(id => id != Current).Take(MaxHistory - 1)];
}

/// <summary>What a secondary shows of itself to a primary that attaches it.</summary>
/// <param name="Record">Its lineage.</param>
/// <param name="Dirty">Grains that it may hold otherwise than its generation says: written while it was primary. Null: none.</param>
public sealed record LineageReport(LineageRecord Record, Colo.Blocks.DirtyBitmap? Dirty);

/// <summary>What a primary tells a secondary before its first write; durable there before it is answered.</summary>
/// <param name="Term">Of the primary.</param>
/// <param name="From">What the secondary's present content is called from now on.</param>
/// <param name="To">What it will be at the end of the resync, which is its next checkpoint.</param>
/// <param name="IsEqual">It is that already: nothing is copied.</param>
/// <param name="PrimaryNode">Who says so.</param>
/// <param name="PrimaryWrites">How far the primary's own record has come.</param>
public sealed record LineageAnnouncement(
    Term Term, GenerationId From, GenerationId To, bool IsEqual, string PrimaryNode, long PrimaryWrites);
