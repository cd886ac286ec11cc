namespace Colo.Qcow2.Header;

/// <summary>
/// A parsed header: every field within its limits and every table inside the file. Immutable; a change is written to its field in
/// the file first, and gives a new value. Fields and extensions that are not named here are never touched.
/// </summary>
internal sealed record Qcow2Header
{
    public required int Version { get; init; }

    public required int ClusterBits { get; init; }

    /// <summary>Virtual size in bytes.</summary>
    public required long SizeBytes { get; init; }

    public required int L1Entries { get; init; }

    public required long L1Offset { get; init; }

    public required long RefcountTableOffset { get; init; }

    public required int RefcountTableClusters { get; init; }

    public int SnapshotCount { get; init; }

    public long SnapshotsOffset { get; init; }

    public IncompatibleFeatures Incompatible { get; init; }

    public CompatibleFeatures Compatible { get; init; }

    public AutoclearFeatures Autoclear { get; init; }

    public int RefcountOrder { get; init; } = 4;

    public int HeaderLength { get; init; } = HeaderLayout.LengthV2;

    public Qcow2Backing? Backing { get; init; }

    public BitmapsExtension? Bitmaps { get; init; }

    public bool ExtendedL2 => (Incompatible & IncompatibleFeatures.ExtendedL2) != 0;

    public bool IsDirty => (Incompatible & IncompatibleFeatures.Dirty) != 0;
}
